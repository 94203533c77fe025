#include "checkpoint/value_cast_reference.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace sluice::test {
namespace {

// By looking at every code: the nearest value, of two equally near the one with an even code.
std::uint8_t nearest_code(float value) {
    static const std::vector<double> values = [] {
        std::vector<double> all;
        for (int code = 0; code <= 0x7e; ++code) all.push_back(value_of_code(code));
        return all;
    }();
    const double magnitude = std::fabs(double{value});
    std::size_t best = 0;
    for (std::size_t code = 1; code < values.size(); ++code) {
        const double distance = std::fabs(magnitude - values[code]);
        const double best_distance = std::fabs(magnitude - values[best]);
        if (distance < best_distance || (distance == best_distance && code % 2 == 0)) best = code;
    }
    return static_cast<std::uint8_t>(best | (std::signbit(value) ? 0x80U : 0U));
}

// The nearest of the bfloat16s around a value, ties to even: in doubles, which hold all middles.
bf16 nearest_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<bf16>(bits >> 16 | 0x40U);
    const auto below = static_cast<bf16>(bits >> 16);
    const auto above = static_cast<bf16>(below + 1);
    // Past the largest finite one comes what would be the next power of two.
    const auto magnitude = [](bf16 code) {
        const double exact = std::fabs(double{to_float(code)});
        return std::isinf(exact) ? 0x1p128 : exact;
    };
    if (std::isinf(value)) return below;
    const double down = std::fabs(double{value}) - magnitude(below);
    const double up = magnitude(above) - std::fabs(double{value});
    if (down == up) return below % 2 == 0 ? below : above;
    return down < up ? below : above;
}

// An element in float32: the value times its scale, rounded once.
float in_float(Matrix& from, std::int64_t row, std::int64_t col) {
    switch (from.form.dtype) {
        case DType::F32: return element<float>(from, row, col);
        case DType::BF16:
            return std::bit_cast<float>(static_cast<std::uint32_t>(element<bf16>(from, row, col)) << 16);
        case DType::I8:
            return static_cast<float>(static_cast<double>(element<std::int8_t>(from, row, col)) *
                                      double{from.scale(row, col)});
        default:
            return static_cast<float>(value_of_code(element<fp8>(from, row, col)) *
                                      double{from.scale(row, col)});
    }
}

void quantize_element(Matrix& from, Matrix& to, std::int64_t row, std::int64_t col,
                      QuantizationError& error) {
    const float value = in_float(from, row, col);
    const float scale = to.scale(row, col);
    const float quotient = value / scale;
    double stored = 0;
    if (to.form.dtype == DType::I8) {
        stored = std::nearbyint(double{quotient});
        set(to, row, col, static_cast<std::int8_t>(stored));
    } else {
        const std::uint8_t code = nearest_code(quotient);
        stored = value_of_code(code);
        set(to, row, col, code);
    }
    const double restored = static_cast<float>(stored * double{scale});
    error.add({std::fabs(restored - value), (restored - value) * (restored - value), double{value} * value});
}

float random_value(std::mt19937& random, bool wild) {
    const float usual = std::normal_distribution<float>(0, 0.02F)(random);
    if (!wild) return usual;
    switch (random() % 16) {
        case 0: return 0.0F;
        case 1: return -0.0F;
        case 2: return std::ldexp(usual, std::uniform_int_distribution(-140, 120)(random));
        case 3: return static_cast<float>(random() % 1000) * 0x1p-149F;
        default: return usual;
    }
}

}  // namespace

// S.EEEE.MMM.
double value_of_code(int code) {
    const int exponent = code >> 3 & 15;
    const double magnitude =
        exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
    if ((code & 0x7f) == 0x7f)
        return std::copysign(std::numeric_limits<double>::quiet_NaN(), code >= 0x80 ? -1.0 : 1.0);
    return code >= 0x80 ? -magnitude : magnitude;
}

Matrix empty_matrix(std::int64_t rows, std::int64_t cols, const ValueForm& form) {
    Matrix made{rows, cols, form, Bytes(static_cast<std::size_t>(rows * cols) * size_of(form.dtype)), {}};
    if (form.block.rows > 0)
        made.scales.resize(
            static_cast<std::size_t>(blocks(rows, form.block.rows) * blocks(cols, form.block.cols)));
    return made;
}

Matrix random_matrix(std::int64_t rows, std::int64_t cols, const ValueForm& form, unsigned seed, bool wild) {
    std::mt19937 random(seed);
    Matrix made = empty_matrix(rows, cols, form);
    for (float& scale : made.scales) scale = std::exp2(std::uniform_real_distribution<float>(-20, 4)(random));
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t col = 0; col < cols; ++col) {
            auto code = static_cast<std::uint8_t>(random());
            if (form.dtype == DType::F8E4M3 && (code & 0x7f) == 0x7f) code = 0;
            if (form.dtype == DType::F32) set(made, row, col, random_value(random, wild));
            if (form.dtype == DType::BF16) set(made, row, col, to_bf16(random_value(random, wild)));
            if (form.block.rows > 0) set(made, row, col, code);
        }
    }
    return made;
}

CastMatrix expected_cast(Matrix& from, const ValueForm& form) {
    CastMatrix expected{empty_matrix(from.rows, from.cols, form), {}};
    Matrix& to = expected.matrix;
    if (from.form == form) {
        to = from;
        return expected;
    }
    const auto each = [&](const auto& visit) {
        for (std::int64_t row = 0; row < from.rows; ++row)
            for (std::int64_t col = 0; col < from.cols; ++col) visit(row, col);
    };
    if (form.dtype == DType::F32)
        each([&](auto row, auto col) { set(to, row, col, in_float(from, row, col)); });
    if (form.dtype == DType::BF16)
        each([&](auto row, auto col) { set(to, row, col, nearest_bf16(in_float(from, row, col))); });
    if (form.block == Block{}) return expected;
    each([&](auto row, auto col) {
        to.scale(row, col) = std::max(to.scale(row, col), std::fabs(in_float(from, row, col)));
    });
    for (float& scale : to.scales) {
        const float largest_code = form.dtype == DType::I8 ? 127.0F : 448.0F;
        scale = scale == 0 ? 1.0F : std::max(scale / largest_code, std::numeric_limits<float>::min());
        if (std::isinf(largest_code * scale)) scale = std::nextafter(scale, 0.0F);
    }
    each([&](auto row, auto col) { quantize_element(from, to, row, col, expected.error); });
    return expected;
}

}  // namespace sluice::test
