// fp8 E4M3 as the OCP 8-bit Floating Point Specification (1.0, table 1 and 2) defines it, and powers of two
// as scales.
#include "core/dtype.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace sluice {
namespace {

constexpr int kLargest = 0x7e;  // of the codes without a sign; 0x7f is NaN

// S.EEEE.MMM: 2^(E - 7) * (1 + M / 8), and for E = 0 2^-6 * M / 8.
double value_of(int code) {
    const int exponent = code >> 3 & 15;
    const int mantissa = code & 7;
    const double value =
        exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 7 - 3);
    return code >= 0x80 ? -value : value;
}

// By looking at every value: the nearest, of two equally near the one with an even code; the largest beyond
// it.
int nearest_code(float value) {
    const double magnitude = std::fabs(static_cast<double>(value));
    int best = 0;
    for (int code = 1; code <= kLargest; ++code) {
        const double distance = std::fabs(magnitude - value_of(code));
        const double best_distance = std::fabs(magnitude - value_of(best));
        if (distance < best_distance || (distance == best_distance && code % 2 == 0)) best = code;
    }
    return best | (std::signbit(value) ? 0x80 : 0);
}

bool is_nan_code(int code) { return (code & 0x7f) == 0x7f; }

TEST(Fp8, ValuesOfTheSpecification) {
    EXPECT_EQ(fp8_to_float(0b0'1111'110), 448.0F) << "the largest";
    EXPECT_EQ(fp8_to_float(0b0'0001'000), 0x1p-6F) << "the smallest normal";
    EXPECT_EQ(fp8_to_float(0b0'0000'111), 0.875F * 0x1p-6F) << "the largest subnormal";
    EXPECT_EQ(fp8_to_float(0b0'0000'001), 0x1p-9F) << "the smallest subnormal";
    EXPECT_EQ(fp8_to_float(0b0'0111'000), 1.0F);
    EXPECT_TRUE(std::signbit(fp8_to_float(0b1'0000'000))) << "minus zero";
    EXPECT_TRUE(std::isnan(fp8_to_float(0b0'1111'111)));
    EXPECT_TRUE(std::isnan(fp8_to_float(0b1'1111'111)));
}

TEST(Fp8, EveryCodeHasItsValueAndComesBack) {
    for (int code = 0; code < 256; ++code) {
        if (is_nan_code(code)) continue;
        const float value = fp8_to_float(static_cast<fp8>(code));
        EXPECT_EQ(value, value_of(code)) << code;
        EXPECT_EQ(std::signbit(value), code >= 0x80) << code;
        EXPECT_EQ(to_fp8(value), code);
    }
}

TEST(Fp8, MiddlesRoundToEvenAndTheirNeighboursToTheNearest) {
    for (int code = 0; code < kLargest; ++code) {
        const auto middle = static_cast<float>((value_of(code) + value_of(code + 1)) / 2);
        const int even = code % 2 == 0 ? code : code + 1;
        const float below = std::nextafter(middle, 0.0F);
        const float above = std::nextafter(middle, 1000.0F);
        EXPECT_EQ(to_fp8(middle), even) << code;
        EXPECT_EQ(to_fp8(below), code);
        EXPECT_EQ(to_fp8(above), code + 1);
        EXPECT_EQ(to_fp8(-middle), even | 0x80) << code;
        EXPECT_EQ(to_fp8(-below), code | 0x80);
        EXPECT_EQ(to_fp8(-above), (code + 1) | 0x80);
    }
}

TEST(Fp8, SaturatesAtTheLargest) {
    for (const float value : {448.0F, 448.1F, 463.9F, 464.0F, 465.0F, 480.0F, 1e6F,
                              std::numeric_limits<float>::max(), std::numeric_limits<float>::infinity()}) {
        EXPECT_EQ(to_fp8(value), 0x7e) << value;
        EXPECT_EQ(to_fp8(-value), 0xfe) << value;
    }
}

TEST(Fp8, TinyValuesBecomeZeroOfTheirSign) {
    for (const float value : {0.0F, std::numeric_limits<float>::denorm_min(), 1e-30F, 0x1p-10F}) {
        EXPECT_EQ(to_fp8(value), 0x00) << value;
        EXPECT_EQ(to_fp8(-value), 0x80) << value;
    }
}

TEST(Fp8, NaNKeepsItsSign) {
    for (const std::uint32_t bits : {0x7fc00000U, 0x7f800001U, 0x7fffffffU}) {
        EXPECT_EQ(to_fp8(std::bit_cast<float>(bits)), 0x7f);
        EXPECT_EQ(to_fp8(std::bit_cast<float>(bits | 0x80000000U)), 0xff);
    }
}

TEST(Fp8, IsTheNearestValueOfAnyFloat) {
    std::mt19937 random(8);
    std::uniform_real_distribution<float> exponent(-12, 10);
    for (int i = 0; i < 200000; ++i) {
        float value = std::exp2(exponent(random));
        if (i % 2 == 0) value = -value;
        ASSERT_EQ(to_fp8(value), nearest_code(value)) << value;
    }
}

TEST(Fp8, ManyAtATimeAreLikeOneByOne) {
    std::mt19937 random(9);
    std::vector<float> values{0.0F, -0.0F, 0x1p-149F, 448.0F, std::nextafter(464.0F, 0.0F), -448.0F};
    for (int code = 0; code < kLargest; ++code)
        values.push_back(static_cast<float>((value_of(code) + value_of(code + 1)) / 2));
    for (int i = 0; i < 10000; ++i) {
        const float value = std::exp2(std::uniform_real_distribution<float>(-12, 8.8F)(random));
        values.push_back(i % 2 == 0 ? -value : value);
    }
    std::vector<fp8> codes(values.size());
    std::vector<float> rounded(values.size());
    to_fp8(values, codes.data(), rounded.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(codes[i], nearest_code(values[i])) << values[i];
        ASSERT_EQ(rounded[i], value_of(codes[i])) << values[i];
        ASSERT_EQ(std::signbit(rounded[i]), std::signbit(values[i]));
    }
}

TEST(RoundUpToPowerOfTwo, KeepsPowersAndRaisesWhatLiesBetween) {
    for (int exponent = -149; exponent <= 126; ++exponent) {
        const float power = std::ldexp(1.0F, exponent);
        EXPECT_EQ(round_up_to_power_of_two(power), power) << exponent;
        EXPECT_EQ(round_up_to_power_of_two(std::nextafter(power, 1e38F)), 2 * power) << exponent;
        if (exponent < -146) continue;  // too few subnormals to have others between
        EXPECT_EQ(round_up_to_power_of_two(1.75F * power), 2 * power) << exponent;
        EXPECT_EQ(round_up_to_power_of_two(std::nextafter(2 * power, 0.0F)), 2 * power) << exponent;
    }
    EXPECT_EQ(round_up_to_power_of_two(0x1p127F), 0x1p127F);
}

TEST(DType, SizesAndNames) {
    struct Known {
        DType type;
        std::size_t size;
        const char* name;
    };
    constexpr std::array<Known, 6> kKnown{{{DType::F32, 4, "float32"},
                                           {DType::BF16, 2, "bfloat16"},
                                           {DType::F8E4M3, 1, "float8_e4m3fn"},
                                           {DType::I8, 1, "int8"},
                                           {DType::I32, 4, "int32"},
                                           {DType::U8, 1, "uint8"}}};
    for (const Known& known : kKnown) {
        EXPECT_EQ(size_of(known.type), known.size) << known.name;
        EXPECT_EQ(name_of(known.type), known.name);
    }
}

}  // namespace
}  // namespace sluice
