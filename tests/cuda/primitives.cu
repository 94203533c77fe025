#include "cuda/primitives.hpp"

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/shared.cuh"
#include "kernels/cuda/wgmma.cuh"

#include <utility>

namespace sluice::test {
namespace {

using namespace sluice::kernels::cuda;
using kernels::Execution;
using kernels::Family;

__global__ void round_each(const float* x, std::uint32_t* halves, std::uint16_t* eighths) {
    join_stream();
    const unsigned i = threadIdx.x;
    halves[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
    eighths[i] = pack_e4m3(x[2 * i], x[2 * i + 1]);
}

__global__ void widen_each(const fp8* codes, float* out) {
    join_stream();
    out[threadIdx.x] = e4m3_to_float(codes[threadIdx.x]);
}

__global__ void elementary_each(const float* x, float* exponentials, float* sigmoids) {
    join_stream();
    exponentials[threadIdx.x] = exponential(x[threadIdx.x]);
    sigmoids[threadIdx.x] = sigmoid(x[threadIdx.x]);
}

struct alignas(16) Tiles {
    bf16 a[16 * 16], b[16 * 8];
};

// One warp; a tile's 8 x 8 quarters are matrices.
__global__ void multiply(const bf16* a, const bf16* b, bool b_is_transposed, float* c) {
    join_stream();
    Tiles& tiles = shared<Tiles>();
    const int lane = static_cast<int>(threadIdx.x);
    copy_async(tiles.a + 8 * lane, a + 8 * lane);
    commit_copies();
    if (lane < 16) copy_async(tiles.b + 8 * lane, b + 8 * lane);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    std::uint32_t left[4], right[4];
    load_matrices(left, tiles.a + lane % 16 * 16 + lane / 16 * 8);
    if (b_is_transposed)
        load_matrices(right, tiles.b + lane % 8 * 16 + lane / 8 % 2 * 8);
    else
        load_transposed(right, tiles.b + lane % 16 * 8);
    float sums[4] = {};
    const std::uint32_t both[2] = {right[0], right[1]};
    mma_bf16(sums, left, both);
    for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

template <int Rows>
__device__ void load_swizzled(const void* from, std::byte* to) {
    for (int i = static_cast<int>(threadIdx.x); i < Rows * 8; i += kWarpgroup)
        copy_async(to + i / 8 * 128 + ((i ^ i / 8) & 7) * 16, static_cast<const std::byte*>(from) + 16 * i);
}

// Two tiles of rows of 128 bytes: products may read them when this returns.
template <int Tiles>
__device__ void load_both(const void* a, std::byte* left, const void* b, std::byte* right) {
    load_swizzled<kWgmmaOutputs>(a, left);
    load_swizzled<8 * Tiles>(b, right);
    commit_copies();
    wait_copies<0>();
    show_copies();
    __syncthreads();
}

template <int Tiles>
__device__ void store_sums(const float (&sums)[Tiles][4], float* c) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int n = 0; n < Tiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            c[(8 * n + lane % 4 * 2 + i % 2) * kWgmmaOutputs + 16 * warp + lane / 4 + i / 2 * 8] = sums[n][i];
    }
}

// One warpgroup; four steps of sixteen columns, in two groups.
template <int Tiles, bool FromRegisters>
__global__ void __launch_bounds__(kWarpgroup) multiply_warpgroup(const bf16* a, const bf16* b, float* c) {
    join_stream();
    if constexpr (kHasWgmma) {
        std::byte *left = swizzled_shared(), *right = left + kWgmmaOutputs * 128;
        load_both<Tiles>(a, left, b, right);
        const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
        float sums[Tiles][4] = {};
        if constexpr (FromRegisters) {
            std::uint32_t rows[4][4];
            const int row = 16 * warp + lane % 16;
#pragma unroll
            for (int step = 0; step < 4; ++step)
                load_matrices(rows[step], left + 128 * row + ((2 * step + lane / 16) ^ row % 8) * 16);
            fence_registers(sums);
#pragma unroll
            for (int step = 0; step < 4; ++step) {
                multiply_async(sums, rows[step], operand(right, step));
                if (step % 2 == 1) commit_products();
            }
            wait_products<1>();
            wait_products<0>();
            take_sums(sums);
            hold_registers(rows);
        } else {
            fence_registers(sums);
#pragma unroll
            for (int step = 0; step < 4; ++step) {
                multiply_async(sums, operand(left, step), operand(right, step));
                if (step % 2 == 1) commit_products();
            }
            wait_products<1>();
            wait_products<0>();
            take_sums(sums);
        }
        store_sums(sums, c);
    }
}

// The same of codes, 32 columns a step; what the sums were before does not count.
template <int Tiles>
__global__ void __launch_bounds__(kWarpgroup) multiply_codes_warpgroup(const fp8* a, const fp8* b, float* c) {
    join_stream();
    if constexpr (kHasWgmma) {
        std::byte *left = swizzled_shared(), *right = left + kWgmmaOutputs * 128;
        load_both<Tiles>(a, left, b, right);
        float sums[Tiles][4];
#pragma unroll
        for (int n = 0; n < Tiles; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[n][i] = 7;
        }
        fence_registers(sums);
        multiply_codes_async<true>(sums, operand(left, 0), operand(right, 0));
#pragma unroll
        for (int step = 1; step < 4; ++step)
            multiply_codes_async<false>(sums, operand(left, step), operand(right, step));
        commit_products();
        wait_products<0>();
        take_sums(sums);
        store_sums(sums, c);
    }
}

__global__ void copy(const std::uint8_t* from, int bytes, std::uint8_t* to) {
    join_stream();
    struct alignas(16) Shared {
        std::uint8_t bytes[16];
    };
    Shared& memory = shared<Shared>();
    copy_async(memory.bytes, from, bytes);
    commit_copies();
    wait_copies<0>();
    for (int i = 0; i < 16; ++i) to[i] = memory.bytes[i];
}

// Block 0 takes longest, so that what does not wait for it is found out.
__global__ void take_over(const int* from, int* to) {
    join_stream();
    const unsigned count = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = from[(i + count / 2 + 1) % count];
    for (int n = 0; blockIdx.x == 0 && n < 2000; ++n) value = value % 2 == 0 ? value + 3 : value - 3;
    to[i] = value + 1;
}

template <std::size_t SharedBytes = 0, class Kernel, class... Arguments>
void run(Kernel kernel, std::int64_t threads, const Arguments&... arguments) {
    launch(kernel, 1, static_cast<unsigned>(threads), SharedBytes, Execution{}, arguments...);
    synchronize(Execution{});
}

}  // namespace

void round_pairs(const float* x, std::int64_t pairs, std::uint32_t* halves, std::uint16_t* eighths) {
    run(round_each, pairs, x, halves, eighths);
}
void widen(const fp8* codes, std::int64_t count, float* out) { run(widen_each, count, codes, out); }
void elementary(const float* x, std::int64_t count, float* exponentials, float* sigmoids) {
    run(elementary_each, count, x, exponentials, sigmoids);
}
void multiply_tile(const bf16* a, const bf16* b, bool b_is_transposed, float* c) {
    run(multiply, 32, a, b, b_is_transposed, c);
}
template <int Tiles>
constexpr std::size_t kBytes = (kWgmmaOutputs + 8 * Tiles) * 128;

template <int Tiles>
void multiply_async_tiles(const bf16* a, const bf16* b, bool a_from_registers, float* c) {
    if constexpr (Tiles <= 16) {
        if (a_from_registers) return run<kBytes<Tiles>>(multiply_warpgroup<Tiles, true>, kWarpgroup, a, b, c);
    }
    run<kBytes<Tiles>>(multiply_warpgroup<Tiles, false>, kWarpgroup, a, b, c);
}
void multiply_async_tile(const bf16* a, const bf16* b, int rows, bool a_from_registers, float* c) {
    switch (rows) {
        case 8: return multiply_async_tiles<1>(a, b, a_from_registers, c);
        case 16: return multiply_async_tiles<2>(a, b, a_from_registers, c);
        case 32: return multiply_async_tiles<4>(a, b, a_from_registers, c);
        case 64: return multiply_async_tiles<8>(a, b, a_from_registers, c);
        case 128: return multiply_async_tiles<16>(a, b, a_from_registers, c);
        default: return multiply_async_tiles<32>(a, b, a_from_registers, c);
    }
}
void multiply_codes_tile(const fp8* a, const fp8* b, int rows, float* c) {
    switch (rows) {
        case 8: return run<kBytes<1>>(multiply_codes_warpgroup<1>, kWarpgroup, a, b, c);
        case 16: return run<kBytes<2>>(multiply_codes_warpgroup<2>, kWarpgroup, a, b, c);
        case 32: return run<kBytes<4>>(multiply_codes_warpgroup<4>, kWarpgroup, a, b, c);
        case 64: return run<kBytes<8>>(multiply_codes_warpgroup<8>, kWarpgroup, a, b, c);
        default: return run<kBytes<16>>(multiply_codes_warpgroup<16>, kWarpgroup, a, b, c);
    }
}
void copy_some(const std::uint8_t* from, int bytes, std::uint8_t* to) { run(copy, 1, from, bytes, to); }
void pass_on(int* values, int* others, int count, int times) {
    for (int n = 0; n < times; ++n) {
        launch(take_over, static_cast<unsigned>(count / 256), 256, 0, Execution{}, values, others);
        std::swap(values, others);
    }
    synchronize(Execution{});
}

}  // namespace sluice::test
