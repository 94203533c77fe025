// Element types and the exact conversions between them.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sluice {

enum class DType : std::uint8_t { F32, BF16, F8E4M3, I8, I32, U8 };

constexpr std::size_t size_of(DType type) {
    switch (type) {
        case DType::F32:
        case DType::I32: return 4;
        case DType::BF16: return 2;
        case DType::F8E4M3:
        case DType::I8:
        case DType::U8: return 1;
    }
    return 0;
}

std::string_view name_of(DType type);

// Bits of a bfloat16: the upper half of a float32.
using bf16 = std::uint16_t;
// Bits of an OCP FP8 E4M3 ("e4m3fn": no infinity; 0x7f and 0xff are NaN; largest value 448).
using fp8 = std::uint8_t;

constexpr float to_float(bf16 bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

// Rounds to nearest, ties to even; NaN stays NaN.
constexpr bf16 to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<bf16>((bits >> 16) | 0x0040U);
    return static_cast<bf16>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

// Exact for all 256 codes.
float fp8_to_float(fp8 code);

// Rounds to nearest, ties to even; saturates at +-448; NaN becomes 0x7f with the sign kept.
fp8 to_fp8(float value);

// Many values below 464 in magnitude, where they need not saturate, several at a time: their codes, and what
// these stand for.
void to_fp8(std::span<const float> values, fp8* codes, float* rounded);

// The smallest power of two that is >= value (the "ue8m0" scale format); value must be positive and finite.
float round_up_to_power_of_two(float value);

}  // namespace sluice
