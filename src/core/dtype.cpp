#include "core/dtype.hpp"

#include <array>

namespace sluice {
namespace {

constexpr float decode(fp8 code) {
    const int exponent = (code >> 3) & 0xf;
    const int mantissa = code & 0x7;
    if ((code & 0x7f) == 0x7f)
        return std::bit_cast<float>(0x7fc00000U | static_cast<std::uint32_t>(code & 0x80U) << 24);
    float value =
        exponent == 0 ? static_cast<float>(mantissa) / 512.0F : 1.0F + static_cast<float>(mantissa) / 8.0F;
    for (int e = 7; exponent != 0 && e < exponent; ++e) value *= 2.0F;
    for (int e = exponent; exponent != 0 && e < 7; ++e) value *= 0.5F;
    return (code & 0x80) != 0 ? -value : value;
}

constexpr std::array<float, 256> make_fp8_table() {
    std::array<float, 256> table{};
    for (int code = 0; code < 256; ++code)
        table[static_cast<std::size_t>(code)] = decode(static_cast<fp8>(code));
    return table;
}

constexpr std::array<float, 256> kFp8Values = make_fp8_table();

}  // namespace

std::string_view name_of(DType type) {
    switch (type) {
        case DType::F32: return "float32";
        case DType::BF16: return "bfloat16";
        case DType::F8E4M3: return "float8_e4m3fn";
        case DType::I8: return "int8";
        case DType::I32: return "int32";
        case DType::U8: return "uint8";
    }
    return "unknown";
}

float fp8_to_float(fp8 code) { return kFp8Values[code]; }

fp8 to_fp8(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<fp8>((bits >> 24) & 0x80U);
    const float magnitude = std::fabs(value);
    if (std::isnan(value)) return static_cast<fp8>(sign | 0x7fU);
    if (magnitude >= 448.0F) return static_cast<fp8>(sign | 0x7eU);
    if (magnitude < 0.015625F) {  // below the smallest normal, 2^-6: steps of 2^-9
        return static_cast<fp8>(sign | static_cast<unsigned>(std::nearbyint(magnitude * 512.0F)));
    }
    // Keep 3 of 23 mantissa bits; a carry moves into the exponent, as it should.
    const std::uint32_t kept = bits & 0x7fffffffU;
    const std::uint32_t rounded = (kept + 0x7ffffU + ((kept >> 20) & 1U)) >> 20;
    const std::uint32_t code = rounded - (120U << 3);  // exponent bias 127 becomes 7
    return static_cast<fp8>(sign | (code > 0x7eU ? 0x7eU : code));
}

float round_up_to_power_of_two(float value) {
    int exponent = 0;
    const float fraction =
        std::frexp(value, &exponent);  // value = fraction * 2^exponent, fraction in [0.5, 1)
    return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

}  // namespace sluice
