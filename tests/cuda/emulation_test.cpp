// That the emulation runs kernels as a GPU would, and finds what a GPU would not forgive.
#include "core/error.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/memory.hpp"
#include "kernels/cuda/shared.cuh"
#include "kernels/cuda/wgmma.cuh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice::kernels::cuda {
namespace {

using emulation::fail_thread;
using testing::HasSubstr;

// What goes wrong in one block of `threads` that each call the function.
std::string error_of(unsigned threads, const std::function<void()>& thread) {
    try {
        emulation::run_grid({{1, 1, 1}, {threads, 1, 1}}, thread);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

void number(int* out, int factor) {
    join_stream();
    out[blockIdx.x * blockDim.x + threadIdx.x] = factor * static_cast<int>(blockIdx.x * 100 + threadIdx.x);
}

TEST(Emulation, LaunchesEveryThreadOfEveryBlock) {
    std::vector<int> out(3 * 40, -1);
    launch(number, 3, 40, 0, {}, out.data(), 2);
    for (int b = 0; b < 3; ++b) {
        for (int t = 0; t < 40; ++t) EXPECT_EQ(out[static_cast<std::size_t>(b * 40 + t)], 2 * (b * 100 + t));
    }
}

TEST(Emulation, IsAskedForMuchSharedMemoryOnce) {
    std::vector<int> out(40);
    const auto asked = [&](std::size_t shared_bytes) {
        const int before = emulation::attributes_set;
        launch(number, 1, 40, shared_bytes, {}, out.data(), 2);
        return emulation::attributes_set - before;
    };
    EXPECT_EQ(asked(1000), 0);
    EXPECT_EQ(asked(60'000), 1);
    EXPECT_EQ(asked(60'000), 0);
    EXPECT_EQ(asked(50'000), 0);
    EXPECT_EQ(asked(70'000), 1);
}

TEST(Emulation, FindsThreadsThatDoNotWaitForTheLaunchBefore) {
    if (!launches_overlap()) GTEST_SKIP() << "SLUICE_OVERLAP is off";
    const auto wait_below = +[](unsigned threads) {
        if (threadIdx.x < threads) await_launches_before();
    };
    const auto touch_first = +[](int) {
        expect_awaited();
        await_launches_before();
    };
    const auto error_of_launch = [](auto kernel, auto argument) -> std::string {
        try {
            launch(kernel, 2, 40, 0, {}, argument);
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(error_of_launch(wait_below, 40U), "");
    EXPECT_THAT(error_of_launch(wait_below, 39U),
                HasSubstr("thread (39, 0, 0): returns without having waited"));
    EXPECT_THAT(error_of_launch(touch_first, 0), HasSubstr("touches what launches write, without"));
}

TEST(Emulation, SaysWhichKernelsAreMissing) {
    EXPECT_EQ(obstacle_of(0), "");
    emulation::has_kernel_image = false;
    EXPECT_THAT(obstacle_of(0), HasSubstr("no kernels for sm_90"));
    emulation::has_kernel_image = true;
    EXPECT_THAT(obstacle_of(1), HasSubstr("GPU 1 cannot be used")) << "there is one";
}

// As the runtime rounds up claims.
TEST(Emulation, WeightsTakeWhatIsCountedWhereTheyAreClaimedTogether) {
    constexpr std::size_t kEach = (std::size_t{1} << 20) + 1000;
    const auto claimed_by = [](bool together) {
        const std::size_t before = emulation::claimed_on_device();
        const auto claimed = together ? claim_for_blocks(8 * aligned(kEach)) : nullptr;
        std::vector<std::shared_ptr<std::byte>> blocks;
        for (int i = 0; i < 8; ++i) blocks.push_back(allocate_block(kEach));
        return emulation::claimed_on_device() - before;
    };
    EXPECT_EQ(claimed_by(false), std::size_t{16} << 20);
    EXPECT_EQ(claimed_by(true), std::size_t{10} << 20);
}

TEST(Emulation, RefusesSizesThatNoGpuTakes) {
    EXPECT_THROW(launch(number, 0, 40, 0, {}, nullptr, 2), Error);
    EXPECT_THROW(launch(number, 1, 1025, 0, {}, nullptr, 2), Error);
    EXPECT_THROW(launch(number, dim3(1, 65536), 32, 0, {}, nullptr, 2), Error);
}

TEST(Emulation, SharesMemoryAcrossABarrier) {
    struct Shared {
        int values[96];
    };
    std::vector<int> out(96);
    const std::string error = error_of(96, [&] {
        Shared& memory = emulation::shared<Shared>();
        memory.values[threadIdx.x] = static_cast<int>(threadIdx.x);
        __syncthreads();
        out[threadIdx.x] = memory.values[95 - threadIdx.x];
    });
    EXPECT_EQ(error, "");
    for (int t = 0; t < 96; ++t) EXPECT_EQ(out[static_cast<std::size_t>(t)], 95 - t);
}

// The order of threads varies: without the barrier, some read before others write.
TEST(Emulation, ShowsAMissingBarrier) {
    struct Shared {
        float values[96];
    };
    int unwritten = 0;
    error_of(96, [&] {
        Shared& memory = emulation::shared<Shared>();
        memory.values[threadIdx.x] = 1;
        const float other = memory.values[95 - threadIdx.x];
        if (other != other) ++unwritten;
    });
    EXPECT_GT(unwritten, 0);
}

TEST(Emulation, FindsThreadsThatMissABarrier) {
    EXPECT_THAT(error_of(64,
                         [] {
                             if (threadIdx.x != 40) __syncthreads();
                         }),
                HasSubstr("thread"));
    const auto apart = [] {
        if (threadIdx.x < 32)
            __syncthreads();
        else
            __syncthreads();
    };
    EXPECT_THAT(error_of(64, apart), HasSubstr("threads 0-31 at the barrier"));
    EXPECT_THAT(error_of(64,
                         [] {
                             if (threadIdx.x < 8)
                                 __syncthreads();
                             else
                                 __syncwarp(threadIdx.x < 32 ? 0xffffffffU : 0xffU);
                         }),
                HasSubstr("__syncwarp"));
}

TEST(Emulation, FindsCollectivesWithTheWrongLanes) {
    EXPECT_THAT(error_of(32, [] { __shfl_sync(0xffffU, 1, 0); }), HasSubstr("leaves its caller out"));
    EXPECT_THAT(error_of(20, [] { __ballot_sync(0xffffffffU, 1); }), HasSubstr("a warp of 20 threads"));
    EXPECT_THAT(error_of(32,
                         [] {
                             if (threadIdx.x < 16) __shfl_xor_sync(0xffffU, 1, 16);
                         }),
                HasSubstr("reads from a lane"));
    EXPECT_THAT(error_of(32,
                         [] {
                             if (threadIdx.x < 16) __shfl_xor_sync(0xffffffffU, 1, 1);
                         }),
                HasSubstr("threads 16-31 returned"));
}

TEST(Emulation, FindsUnalignedVectorsAndTooMuchSharedMemory) {
    alignas(16) static float memory[8];
    EXPECT_THAT(error_of(1, [] { emulation::expect_aligned(memory + 1, 16); }), HasSubstr("16 bytes"));
    struct Large {
        char bytes[50000];
    };
    EXPECT_THAT(error_of(1, [] { emulation::shared<Large>(); }), HasSubstr("50000 bytes"));
}

// A product of a warpgroup, with something between its beginning and its end.
std::string error_of_product(bool fenced, std::size_t tile_at,
                             const std::function<void(std::byte*, float&)>& between) {
    struct Tiles {
        std::byte bytes[3 * kSwizzleBytes];
    };
    return error_of(kWarpgroup, [&] {
        std::byte* tile = emulation::shared<Tiles>().bytes + tile_at;
        const std::uint32_t rows[4] = {};
        float sums[1][4] = {};
        if (fenced) fence_registers(sums);
        multiply_async(sums, rows, operand(tile, 0));
        commit_products();
        if (sums[0][0] == sums[0][0]) fail_thread("the sum is there too early");
        between(tile, sums[0][0]);
        wait_products<0>();
        take_sums(sums);
    });
}

TEST(Emulation, FindsWhatWarpgroupsMayNotDo) {
    const auto nothing = [](std::byte*, float&) {};
    EXPECT_EQ(error_of_product(true, 1024, nothing), "");
    EXPECT_THAT(error_of_product(false, 1024, nothing), HasSubstr("before registers are fenced"));
    EXPECT_THAT(error_of_product(true, 512, nothing), HasSubstr("1024 bytes"));
    EXPECT_THAT(error_of_product(true, 1024, [](std::byte* tile, float&) { *tile = std::byte{1}; }),
                HasSubstr("a tile changes"));
    EXPECT_THAT(error_of_product(true, 1024,
                                 [](std::byte*, float& sum) {
                                     sum = 0;
                                     float(&sums)[1][4] = reinterpret_cast<float(&)[1][4]>(sum);
                                     fence_registers(sums);
                                 }),
                HasSubstr("sums are written"));
    EXPECT_THAT(error_of_product(true, 1024,
                                 [](std::byte*, float& sum) {
                                     wait_products<1>();
                                     take_sums(reinterpret_cast<float(&)[1][4]>(sum));
                                 }),
                HasSubstr("taken before"));
    EXPECT_THAT(error_of_product(true, 1024,
                                 [](std::byte* tile, float&) {
                                     alignas(16) static const std::byte from[16] = {};
                                     copy_async(tile + kSwizzleBytes, from);
                                     commit_copies();
                                     wait_copies<0>();
                                     float more[1][4] = {};
                                     const std::uint32_t rows[4] = {};
                                     multiply_async(more, rows, operand(tile, 0));
                                 }),
                HasSubstr("shown its copies"));
}

TEST(Emulation, GoesOnAfterAnError) {
    error_of(64, [] {
        if (threadIdx.x != 40) __syncthreads();
    });
    EXPECT_EQ(error_of(64, [] { __syncthreads(); }), "");
}

TEST(Emulation, ShufflesAndVotesAsAWarpDoes) {
    std::vector<unsigned> out(64 * 6);
    const std::string error = error_of(64, [&] {
        const unsigned t = threadIdx.x, lane = t % 32;
        unsigned* mine = out.data() + t * 6;
        mine[0] = __shfl_sync(0xffffffffU, t, 5);
        mine[1] = __shfl_xor_sync(0xffffffffU, t, 3);
        mine[2] = __shfl_up_sync(0xffffffffU, t, 2);
        mine[3] = __shfl_down_sync(0xffffffffU, t, 2, 8);
        mine[4] = __ballot_sync(0xffffffffU, lane % 3 == 0);
        mine[5] = lane < 16 ? __reduce_max_sync(0x0000ffffU, t) : __reduce_add_sync(0xffff0000U, 1U);
    });
    ASSERT_EQ(error, "");
    for (unsigned t = 0; t < 64; ++t) {
        const unsigned* mine = out.data() + t * 6;
        const unsigned lane = t % 32, base = t - lane;
        EXPECT_EQ(mine[0], base + 5);
        EXPECT_EQ(mine[1], t ^ 3U);
        EXPECT_EQ(mine[2], lane < 2 ? t : t - 2);
        EXPECT_EQ(mine[3], lane % 8 < 6 ? t + 2 : t);
        EXPECT_EQ(mine[4], 0x49249249U);
        EXPECT_EQ(mine[5], lane < 16 ? base + 15 : 16);
    }
}

}  // namespace
}  // namespace sluice::kernels::cuda
