// The ceilings that kernels are measured against: that they do the work they are paid for. Emulated
// everywhere, and on the GPU where there is one.
#include "kernels/cuda/ceilings.hpp"

#include "core/error.hpp"
#include "kernels/cases.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/event.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sluice::test {
namespace {

using namespace sluice::kernels::cuda;

class CudaCeilings : public testing::Test {
protected:
    void SetUp() override {
        if (!available()) GTEST_SKIP() << "this machine has no GPU";
    }
    // Small whole numbers, whose sums are exact.
    static std::vector<float> numbers(std::int64_t count) {
        Noise noise(1);
        std::vector<float> values;
        while (static_cast<std::int64_t>(values.size()) < count)
            values.push_back(static_cast<float>(noise.below(9) - 4));
        return values;
    }
};

// 16 bytes at once, as the kernels read.
struct Aligned {
    explicit Aligned(std::int64_t count) : memory(static_cast<std::size_t>(count) + 4) {
        while (reinterpret_cast<std::uintptr_t>(memory.data() + skipped) % 16 != 0) ++skipped;
    }
    float* data() { return memory.data() + skipped; }
    std::vector<float> memory;
    std::size_t skipped = 0;
};

TEST_F(CudaCeilings, EveryValueIsRead) {
    constexpr std::int64_t kPieces = 3;
    const std::vector<float> values = numbers(kPieces * kPieceFloats);
    Aligned from(kPieces * kPieceFloats);
    std::copy(values.begin(), values.end(), from.data());
    std::vector<float> sums(kPieces), want(kPieces);
    for (std::size_t i = 0; i < values.size(); ++i) want[i / kPieceFloats] += values[i];
    read_pieces(from.data(), kPieces, sums.data(), {});
    synchronize({});
    EXPECT_EQ(sums, want);
}

TEST_F(CudaCeilings, EveryValueIsCopied) {
    constexpr std::int64_t kFloats = 2 * kPieceFloats;
    const std::vector<float> values = numbers(kFloats);
    Aligned from(kFloats), to(kFloats);
    std::copy(values.begin(), values.end(), from.data());
    copy_pieces(from.data(), 2, to.data(), {});
    synchronize({});
    EXPECT_EQ(std::vector<float>(to.data(), to.data() + kFloats), values);
}

TEST_F(CudaCeilings, EveryWarpMultipliesEveryRound) {
    constexpr std::int64_t kRounds = 3;
    constexpr int kBlocks = 2;
    const std::vector<float> values = numbers(16 * 16 + 8 * 16);
    std::vector<bf16> tiles;
    for (const float value : values) tiles.push_back(to_bf16(value));
    constexpr std::size_t kTile = 16 * 8, kWarps = std::size_t{kBlocks} * kMultiplyWarps;
    std::vector<float> sums(kWarps * kTile, -1), want(kTile);
    for (std::size_t i = 0; i < kTile; ++i) {
        for (std::size_t k = 0; k < 16; ++k)
            want[i] += values[i / 8 * 16 + k] * values[16 * 16 + i % 8 * 16 + k] * kRounds * kMultiplyChains;
    }
    multiply_tiles(tiles.data(), tiles.data() + 16 * 16, kRounds, kBlocks, sums.data(), {});
    synchronize({});
    for (std::size_t w = 0; w < kWarps; ++w)
        EXPECT_EQ(std::vector<float>(&sums[w * kTile], &sums[w * kTile] + kTile), want) << "warp " << w;
}

TEST_F(CudaCeilings, AStreamHasRates) {
    const StreamMemory stream(3 * 32768 + 5);
    EXPECT_EQ(stream.bytes(), 3U * 32768) << "whole pieces";
    EXPECT_EQ(StreamMemory(1).bytes(), 2U * 32768);
    EXPECT_GT(stream.read_rate({}), 0);
    EXPECT_GT(stream.copy_rate({}), 0);
}

TEST_F(CudaCeilings, EventsTellWhenTheyWereReached) {
    Event start, middle, end;
    EXPECT_THROW(end.seconds_since(start), Error) << "neither was recorded";
    start.record(nullptr);
    middle.record(nullptr);
    end.record(nullptr);
    end.wait();
    EXPECT_GE(middle.seconds_since(start), 0);
    EXPECT_GE(end.seconds_since(start), middle.seconds_since(start));
}

}  // namespace
}  // namespace sluice::test
