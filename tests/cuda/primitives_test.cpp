// What kernels are made of: emulated everywhere, and on the GPU where there is one.
#include "cuda/primitives.hpp"

#include "core/dtype.hpp"
#include "kernels/cases.hpp"
#include "kernels/cuda/device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

class CudaPrimitives : public testing::Test {
protected:
    void SetUp() override {
        if (!kernels::cuda::available()) GTEST_SKIP() << "this machine has no GPU";
    }
};

// Values at and beside those where a format rounds, ends or loses its leading bit.
std::vector<float> edges() {
    std::vector<float> all = {0,          -0.0F,   448,       449,       463.9F,   464,
                              465,        1e30F,   INFINITY,  0x1p-9F,   0x1p-10F, 0x1.8p-9F,
                              0x1.8p-10F, 0x1p-6F, 0x1.fp-7F, 0x1p-149F, 1,        1.0625F};
    for (int e = -12; e < 10; ++e) {
        for (int m = 0; m < 64; ++m) all.push_back(std::ldexp(1.0F + static_cast<float>(m) / 64, e));
    }
    Noise noise(3);
    while (all.size() < 1800) all.push_back(noise(500));
    const std::size_t positive = all.size();
    for (std::size_t i = 0; i < positive && all.size() < 2048; ++i) all.push_back(-all[i]);
    return all;
}

TEST_F(CudaPrimitives, RoundLikeTheHost) {
    const std::vector<float> x = edges();
    std::vector<std::uint32_t> halves(x.size() / 2);
    std::vector<std::uint16_t> eighths(x.size() / 2);
    round_pairs(x.data(), static_cast<std::int64_t>(halves.size()), halves.data(), eighths.data());
    for (std::size_t i = 0; i < halves.size(); ++i) {
        EXPECT_EQ(halves[i], to_bf16(x[2 * i]) | static_cast<std::uint32_t>(to_bf16(x[2 * i + 1])) << 16);
        EXPECT_EQ(eighths[i] & 0xff, to_fp8(x[2 * i])) << x[2 * i];
        EXPECT_EQ(eighths[i] >> 8, to_fp8(x[2 * i + 1])) << x[2 * i + 1];
    }
}

TEST_F(CudaPrimitives, KeepNaN) {
    const std::vector<float> x = {NAN, 1};
    std::vector<std::uint32_t> half(1);
    std::vector<std::uint16_t> eighth(1);
    round_pairs(x.data(), 1, half.data(), eighth.data());
    EXPECT_TRUE(std::isnan(to_float(static_cast<bf16>(half[0]))));
    EXPECT_TRUE(std::isnan(fp8_to_float(static_cast<fp8>(eighth[0]))));
}

TEST_F(CudaPrimitives, WidenEveryCode) {
    std::vector<fp8> codes(256);
    std::vector<float> out(256);
    for (int i = 0; i < 256; ++i) codes[static_cast<std::size_t>(i)] = static_cast<fp8>(i);
    widen(codes.data(), 256, out.data());
    for (std::size_t i = 0; i < 256; ++i) {
        const float want = fp8_to_float(codes[i]);
        if (std::isnan(want))
            EXPECT_TRUE(std::isnan(out[i])) << i;
        else
            EXPECT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(want)) << i;
    }
}

TEST_F(CudaPrimitives, ElementaryFunctionsAreWithinTheirBounds) {
    std::vector<float> x = {0, -87.33F, -87.34F, 88, -INFINITY, NAN, 1, -1};
    Noise noise(4);
    while (x.size() < 1000) x.push_back(noise(87));
    std::vector<float> e(x.size()), s(x.size());
    elementary(x.data(), static_cast<std::int64_t>(x.size()), e.data(), s.data());
    EXPECT_EQ(e[0], 1);
    EXPECT_EQ(e[2], 0);
    EXPECT_EQ(e[4], 0);
    EXPECT_TRUE(std::isnan(e[5]) && std::isnan(s[5]));
    constexpr double kUlp = 0x1p-23;
    for (std::size_t i = 6; i < x.size(); ++i) {
        const double power = std::exp(static_cast<double>(x[i]));
        EXPECT_NEAR(e[i], power, 2 * kUlp * power) << x[i];
        const double want = 1 / (1 + std::exp(-static_cast<double>(x[i])));
        EXPECT_NEAR(s[i], want, 4 * kUlp * want + 0x1p-126) << x[i];
    }
}

// Small integers: exact in bfloat16, and so is every sum.
TEST_F(CudaPrimitives, TensorCoresMultiplyTiles) {
    Noise noise(5);
    std::vector<bf16> a(16 * 16), b(16 * 8), turned(16 * 8);
    for (bf16& v : a) v = to_bf16(static_cast<float>(noise.below(17) - 8));
    for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] = to_bf16(static_cast<float>(noise.below(17) - 8));
        turned[i % 8 * 16 + i / 8] = b[i];
    }
    for (const bool transposed : {false, true}) {
        std::vector<float> c(16 * 8);
        multiply_tile(a.data(), transposed ? turned.data() : b.data(), transposed, c.data());
        for (std::size_t i = 0; i < 16; ++i) {
            for (std::size_t j = 0; j < 8; ++j) {
                float want = 0;
                for (std::size_t k = 0; k < 16; ++k) want += to_float(a[i * 16 + k]) * to_float(b[k * 8 + j]);
                EXPECT_EQ(c[i * 8 + j], want) << i << ' ' << j;
            }
        }
    }
}

constexpr int kAsyncRows[] = {8, 16, 32, 64, 128, 256};

std::vector<float> multiplied_async(const std::vector<bf16>& a, const std::vector<bf16>& b, int rows,
                                    bool a_from_registers) {
    std::vector<float> c(static_cast<std::size_t>(rows) * 64);
    multiply_async_tile(a.data(), b.data(), rows, a_from_registers, c.data());
    return c;
}

// Small integers: exact in bfloat16, and so is every sum.
TEST_F(CudaPrimitives, WarpgroupsMultiplyTiles) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "not on this GPU, or not in this program";
    Noise noise(6);
    std::vector<bf16> a(64 * 64), b(256 * 64);
    for (std::vector<bf16>* const all : {&a, &b}) {
        for (bf16& v : *all) v = to_bf16(static_cast<float>(noise.below(17) - 8));
    }
    for (const int rows : kAsyncRows) {
        for (const bool from_registers : {false, true}) {
            if (from_registers && rows == 256) continue;
            SCOPED_TRACE(testing::Message() << rows << " rows, from registers " << from_registers);
            const std::vector<float> c = multiplied_async(a, b, rows, from_registers);
            for (std::size_t i = 0; i < c.size(); ++i) {
                float want = 0;
                for (std::size_t k = 0; k < 64; ++k)
                    want += to_float(a[i % 64 * 64 + k]) * to_float(b[i / 64 * 64 + k]);
                ASSERT_EQ(c[i], want) << "row " << i / 64 << ", output " << i % 64;
            }
        }
    }
}

// Of values whose sums are rounded: what products promise of a row rests on this.
TEST_F(CudaPrimitives, WarpgroupsAddInOneOrderForAnyNumberOfRows) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "not on this GPU, or not in this program";
    Noise noise(7);
    std::vector<bf16> a(64 * 64), b(256 * 64);
    for (std::vector<bf16>* const all : {&a, &b}) {
        for (bf16& v : *all) v = to_bf16(noise(1));
    }
    for (const bool from_registers : {false, true}) {
        const std::vector<float> most = multiplied_async(a, b, from_registers ? 128 : 256, from_registers);
        for (const int rows : kAsyncRows) {
            if (from_registers && rows == 256) continue;
            const std::vector<float> c = multiplied_async(a, b, rows, from_registers);
            for (std::size_t i = 0; i < c.size(); ++i)
                ASSERT_EQ(c[i], most[i])
                    << rows << " rows, from registers " << from_registers << ", at " << i;
        }
    }
}

struct CodeTiles {
    std::vector<fp8> a = std::vector<fp8>(64 * 128), b = std::vector<fp8>(128 * 128);
};

template <class Value>
CodeTiles code_tiles(Value value) {
    CodeTiles tiles;
    for (std::vector<fp8>* const all : {&tiles.a, &tiles.b}) {
        for (fp8& code : *all) code = to_fp8(value());
    }
    return tiles;
}

std::vector<float> multiplied(const CodeTiles& tiles, int rows) {
    std::vector<float> c(static_cast<std::size_t>(rows) * 64);
    multiply_codes_tile(tiles.a.data(), tiles.b.data(), rows, c.data());
    return c;
}

float product_of(const CodeTiles& tiles, std::size_t row, std::size_t output, std::size_t k) {
    return fp8_to_float(tiles.a[output * 128 + k]) * fp8_to_float(tiles.b[row * 128 + k]);
}

// Small integers: exact in e4m3, and so is every sum, of which fourteen bits are kept.
TEST_F(CudaPrimitives, WarpgroupsMultiplyTilesOfCodes) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "not on this GPU, or not in this program";
    Noise noise(8);
    const CodeTiles tiles = code_tiles([&] { return static_cast<float>(noise.below(17) - 8); });
    for (const int rows : {8, 16, 32, 64, 128}) {
        const std::vector<float> c = multiplied(tiles, rows);
        for (std::size_t i = 0; i < c.size(); ++i) {
            float want = 0;
            for (std::size_t k = 0; k < 128; ++k) want += product_of(tiles, i / 64, i % 64, k);
            ASSERT_EQ(c[i], want) << rows << " rows: row " << i / 64 << ", output " << i % 64;
        }
    }
}

// Two products, 2 and 2^-12, far apart or side by side: the smaller one is the last of fourteen bits, whether
// it is added to the other one's sum or with it.
TEST_F(CudaPrimitives, WarpgroupsKeepFourteenBitsOfSumsOfCodes) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "not on this GPU, or not in this program";
    CodeTiles tiles = code_tiles([] { return 0.0F; });
    const auto place = [&](std::size_t i) { return std::pair{i * 37 % 128, (i * 37 + 1 + i % 127) % 128}; };
    for (std::size_t i = 0; i < 64; ++i) {
        const auto [large, small] = place(i);
        tiles.a[i * 128 + large] = to_fp8(2);
        tiles.a[i * 128 + small] = to_fp8(0x1p-6F);
        for (std::size_t row = 0; row < 128; ++row) {
            tiles.b[row * 128 + large] = to_fp8(1);
            tiles.b[row * 128 + small] = to_fp8(0x1p-6F);
        }
        const std::vector<float> c = multiplied(tiles, 128);
        for (std::size_t row = 0; row < 128; ++row)
            ASSERT_EQ(c[row * 64 + i], 2 + 0x1p-12F) << "columns " << large << " and " << small;
        for (std::vector<fp8>* const all : {&tiles.a, &tiles.b}) std::fill(all->begin(), all->end(), fp8{0});
    }
}

// Of values whose sums are rounded.
TEST_F(CudaPrimitives, WarpgroupsAddCodesInOneOrderForAnyNumberOfRows) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "not on this GPU, or not in this program";
    Noise noise(9);
    const CodeTiles tiles = code_tiles([&] { return 448 * noise(1) * noise(1) * noise(1); });
    const std::vector<float> most = multiplied(tiles, 128);
    for (const int rows : {8, 16, 32, 64}) {
        const std::vector<float> c = multiplied(tiles, rows);
        for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], most[i]) << rows << " rows, at " << i;
    }
}

TEST_F(CudaPrimitives, OverlappingLaunchesSeeWhatThoseBeforeWrote) {
    constexpr std::size_t kCount = 4096;
    constexpr int kTimes = 64;
    std::vector<int> values(kCount), others(kCount), expected(kCount);
    std::iota(values.begin(), values.end(), 0);
    for (std::size_t i = 0; i < kCount; ++i)
        expected[i] = static_cast<int>((i + kTimes * (kCount / 2 + 1)) % kCount) + kTimes;
    pass_on(values.data(), others.data(), kCount, kTimes);
    EXPECT_EQ(values, expected);
}

TEST_F(CudaPrimitives, CopiesEndInZeros) {
    std::vector<std::uint8_t> from(16), to(16);
    for (std::size_t i = 0; i < 16; ++i) from[i] = static_cast<std::uint8_t>(i + 1);
    for (const int bytes : {0, 4, 16}) {
        copy_some(from.data(), bytes, to.data());
        for (int i = 0; i < 16; ++i) EXPECT_EQ(to[static_cast<std::size_t>(i)], i < bytes ? i + 1 : 0);
    }
}

}  // namespace
}  // namespace sluice::test
