// float32 to bfloat16, for every bfloat16 and the float32 values around it, against exact arithmetic in
// double.
#include "core/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

constexpr std::uint32_t kInfinity = 0x7f800000U;

float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// The magnitude that the bits stand for; where float32 has infinity, the power of two that would follow.
double magnitude(std::uint32_t bits) {
    return bits == kInfinity ? std::ldexp(1.0, 128) : static_cast<double>(float_of(bits));
}

// IEEE 754, roundTiesToEven: of the two bfloat16 around `bits`, the nearer, or else the even one.
bf16 nearest(std::uint32_t bits) {
    const std::uint32_t sign = bits & 0x80000000U;
    const std::uint32_t below = bits & 0x7fff0000U;
    const double value = magnitude(bits & 0x7fffffffU);
    const double down = value - magnitude(below);
    const double up = magnitude(below + 0x10000U) - value;
    const bool odd = (below & 0x10000U) != 0;
    const bool rises = up < down || (up == down && odd);
    return static_cast<bf16>((sign | (rises ? below + 0x10000U : below)) >> 16);
}

TEST(Bf16, EveryValueComesBack) {
    for (std::uint32_t upper = 0; upper <= 0xffffU; ++upper) {
        const auto bits = static_cast<bf16>(upper);
        const float value = to_float(bits);
        ASSERT_EQ(std::bit_cast<std::uint32_t>(value), upper << 16);
        if (!std::isnan(value)) {
            ASSERT_EQ(to_bf16(value), bits);
        }
    }
}

TEST(Bf16, RoundsToNearestAndTiesToEven) {
    for (std::uint32_t upper = 0; upper <= 0xffffU; ++upper) {
        if ((upper & 0x7fffU) >= (kInfinity >> 16)) continue;
        for (const std::uint32_t lower : {0x0001U, 0x1234U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
            const std::uint32_t bits = upper << 16 | lower;
            ASSERT_EQ(to_bf16(float_of(bits)), nearest(bits)) << std::hex << bits;
        }
    }
}

TEST(Bf16, KnownValues) {
    EXPECT_EQ(to_bf16(0.0F), 0x0000);
    EXPECT_EQ(to_bf16(-0.0F), 0x8000);
    EXPECT_EQ(to_bf16(1.0F), 0x3f80);
    EXPECT_EQ(to_bf16(-2.0F), 0xc000);
    EXPECT_EQ(to_bf16(1.0F + 0x1p-8F), 0x3f80) << "a tie whose lower neighbour is even";
    EXPECT_EQ(to_bf16(1.0F + 0x1p-7F + 0x1p-8F), 0x3f82) << "a tie whose upper neighbour is even";
    EXPECT_EQ(to_bf16(0x1p-133F), 0x0001) << "the smallest bfloat16";
    EXPECT_EQ(to_bf16(0x1p-134F), 0x0000) << "half of it, a tie";
    EXPECT_EQ(to_bf16(0x1.8p-134F), 0x0001);
    EXPECT_EQ(to_bf16(std::numeric_limits<float>::denorm_min()), 0x0000);
}

TEST(Bf16, OverflowsToInfinity) {
    EXPECT_EQ(to_bf16(std::numeric_limits<float>::infinity()), 0x7f80);
    EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
    EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80);
    EXPECT_EQ(to_bf16(-std::numeric_limits<float>::max()), 0xff80);
    EXPECT_EQ(to_bf16(float_of(0x7f7f7fffU)), 0x7f7f) << "just below the middle to infinity";
    EXPECT_EQ(to_bf16(float_of(0x7f7f8000U)), 0x7f80) << "the middle";
}

TEST(Bf16, NaNStaysNaNOfItsSign) {
    for (const std::uint32_t payload : {0x000001U, 0x00ffffU, 0x010000U, 0x3fffffU, 0x400000U, 0x7fffffU}) {
        for (const std::uint32_t sign : {0U, 0x80000000U}) {
            const bf16 bits = to_bf16(float_of(sign | kInfinity | payload));
            EXPECT_TRUE(std::isnan(to_float(bits))) << std::hex << payload;
            EXPECT_EQ(bits >> 15, sign >> 31) << std::hex << payload;
        }
    }
}

}  // namespace
}  // namespace sluice
