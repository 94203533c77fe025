#include "core/dtype.hpp"

#include <algorithm>
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

constexpr std::int32_t bits_of(float value) { return std::bit_cast<std::int32_t>(value); }

struct Rounded {
    std::int32_t code;
    float value;
};

// Of values below 464, the middle between the largest and what would be next. Without branches, and
// magnitudes compared as integers, so that compilers make several at a time of it.
inline Rounded round_to_fp8(float value) {
    const auto sign = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(value) & 0x80000000U);
    const std::int32_t magnitude = bits_of(value) & 0x7fffffff;
    // The power of two below it, or that of the subnormals: 2^e, where codes are 2^(e - 3) apart, as floats
    // are at 2^(e + 20).
    const std::int32_t power = std::max(magnitude, bits_of(0x1p-6F)) & 0x7f800000;
    const std::int32_t apart = power + (20 << 23);
    const float sum = std::bit_cast<float>(magnitude) + std::bit_cast<float>(apart);
    // 8 codes for every power; the last step reaches the next power's first code, as it should.
    const std::int32_t code = ((power - bits_of(0x1p-6F)) >> 20) + (bits_of(sum) - apart);
    return {code | (sign >> 24 & 0x80),
            std::bit_cast<float>(bits_of(sum - std::bit_cast<float>(apart)) | sign)};
}

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
    const unsigned sign = std::signbit(value) ? 0x80U : 0;
    if (std::isnan(value)) return static_cast<fp8>(sign | 0x7fU);
    if (std::fabs(value) >= 448.0F) return static_cast<fp8>(sign | 0x7eU);
    return static_cast<fp8>(round_to_fp8(value).code);
}

void to_fp8(std::span<const float> values, fp8* codes, float* rounded) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const Rounded result = round_to_fp8(values[i]);
        codes[i] = static_cast<fp8>(result.code);
        rounded[i] = result.value;
    }
}

float round_up_to_power_of_two(float value) {
    int exponent = 0;
    const float fraction =
        std::frexp(value, &exponent);  // value = fraction * 2^exponent, fraction in [0.5, 1)
    return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

}  // namespace sluice
