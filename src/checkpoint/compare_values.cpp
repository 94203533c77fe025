#include "checkpoint/compare_values.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

constexpr std::int64_t kRun = 512;  // values at a time, which stay in the first cache

// What each of the 256 codes of a type stands for, and the values to which no other code is nearer.
struct Codes {
    std::array<float, 256> value{};
    std::array<double, 256> least{}, greatest{};
    std::uint8_t largest = 0;  // without a sign
};

// e4m3fn by its definition: a sign, four bits of exponent with bias 7, three of mantissa; no infinity.
float fp8_value(int code) {
    const int exponent = (code >> 3) & 15;
    const int mantissa = code & 7;
    if ((code & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                          : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    return code < 0x80 ? magnitude : -magnitude;
}

// A cast divides by the scale, or multiplies with its inverse, in float32: that moves the quotient by up to
// 2^-22 of itself, and so the bounds where rounding turns. The products here are exact in double.
constexpr double kSlack = 1 + 0x1p-20;

Codes fp8_codes() {
    Codes codes;
    codes.largest = 0x7e;
    for (int code = 0; code < 256; ++code) {
        const auto at = static_cast<std::size_t>(code);
        codes.value[at] = fp8_value(code);
        const int magnitude = code & 0x7f;
        // Beyond the largest code, as if another stood there.
        const double here = static_cast<double>(fp8_value(magnitude));
        const double above = magnitude < 0x7e ? static_cast<double>(fp8_value(magnitude + 1)) : 480;
        const double below = magnitude > 0 ? static_cast<double>(fp8_value(magnitude - 1)) : -above;
        double least = (below + here) / 2;
        double greatest = (here + above) / 2 * kSlack;
        least = least < 0 ? least * kSlack : least / kSlack;
        if (magnitude == 0x7f) std::tie(least, greatest) = std::pair(1.0, -1.0);  // NaN is nearest to nothing
        codes.least[at] = code < 0x80 ? least : -greatest;
        codes.greatest[at] = code < 0x80 ? greatest : -least;
    }
    return codes;
}

Codes int8_codes() {
    Codes codes;
    codes.largest = 127;
    for (int code = 0; code < 256; ++code) {
        const auto at = static_cast<std::size_t>(code);
        const int value = code < 128 ? code : code - 256;
        codes.value[at] = static_cast<float>(value);
        const double least = value - 0.5;
        const double greatest = value + 0.5;
        codes.least[at] = least < 0 ? least * kSlack : least / kSlack;
        codes.greatest[at] = greatest > 0 ? greatest * kSlack : greatest / kSlack;
    }
    return codes;
}

bool quantized(DType dtype) { return dtype == DType::F8E4M3 || dtype == DType::I8; }

const Codes& codes_of(DType dtype) {
    static const Codes fp8 = fp8_codes();
    static const Codes int8 = int8_codes();
    expect(quantized(dtype), "codes of {}", name_of(dtype));
    return dtype == DType::F8E4M3 ? fp8 : int8;
}

template <class T>
T load(const std::byte* from, std::int64_t index) {
    T value;
    std::memcpy(&value, from + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
    return value;
}

float widen(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

// A block's share of a row, as float32.
void decode(const SourceTensor& tensor, const std::byte* from, std::int64_t count, float scale, float* out) {
    const DType dtype = tensor.form.dtype;
    if (dtype == DType::F32) {
        std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(float));
    } else if (dtype == DType::BF16) {
        for (std::int64_t i = 0; i < count; ++i) out[i] = widen(load<std::uint16_t>(from, i));
    } else {
        const Codes& codes = codes_of(dtype);
        for (std::int64_t i = 0; i < count; ++i)
            out[i] = codes.value[static_cast<std::uint8_t>(from[i])] * scale;
    }
}

// Which of x[i] are not what stands in `found`: sets wrong[i], and tells whether any. Without branches, for
// the compiler to do many at a time.
bool check_float32(const float* x, std::int64_t count, const std::byte* found, std::uint32_t* wrong) {
    std::uint32_t any = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto value = load<float>(found, i);
        const std::uint32_t differs =
            std::bit_cast<std::uint32_t>(value) != std::bit_cast<std::uint32_t>(x[i]);
        const std::uint32_t numbers = static_cast<std::uint32_t>(value == value) | (x[i] == x[i]);
        any |= wrong[i] = differs & numbers;
    }
    return any != 0;
}

bool check_bfloat16(const float* x, std::int64_t count, const std::byte* found, std::uint32_t* wrong) {
    std::uint32_t any = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int32_t bits = load<std::uint16_t>(found, i);
        const auto wide = std::bit_cast<std::uint32_t>(x[i]);
        const auto kept = static_cast<std::int32_t>(wide >> 16);
        const auto rest = static_cast<std::int32_t>(wide & 0xffffU);
        const std::int32_t up = rest + (kept & 1) > 0x8000;  // beyond half a step, or at half and odd
        const std::uint32_t differs = bits != kept + up;
        const std::uint32_t number = x[i] == x[i];
        const std::uint32_t found_number = (bits & 0x7fff) <= 0x7f80;
        any |= wrong[i] = (number & differs) | (~number & found_number & 1U);
    }
    return any != 0;
}

bool check_codes(const Codes& codes, const float* x, std::int64_t count, const std::byte* found, double scale,
                 std::uint32_t* wrong) {
    std::uint32_t any = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto code = static_cast<std::uint8_t>(found[i]);
        const auto value = static_cast<double>(x[i]);
        const auto above = static_cast<std::uint32_t>(codes.least[code] * scale <= value);
        const auto below = static_cast<std::uint32_t>(value <= codes.greatest[code] * scale);
        any |= wrong[i] = (above & below) ^ 1U;  // NaN is neither
    }
    return any != 0;
}

std::uint8_t largest_code(DType dtype, const std::byte* found, std::int64_t count) {
    int largest = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const int code = static_cast<std::uint8_t>(found[i]);
        const int magnitude = dtype == DType::I8 ? std::abs(static_cast<std::int8_t>(code)) : code & 0x7f;
        largest = std::max(largest, magnitude);
    }
    return static_cast<std::uint8_t>(std::min<int>(largest, codes_of(dtype).largest));
}

bool any_value(const float* x, std::int64_t count) {
    bool any = false;
    for (std::int64_t i = 0; i < count; ++i) any |= x[i] != 0;
    return any;
}

std::size_t block_at(const SourceTensor& tensor, std::int64_t row, std::int64_t col) {
    return static_cast<std::size_t>(row / tensor.form.block.rows * tensor.scale_cols() +
                                    col / tensor.form.block.cols);
}

float scale_at(const SourceTensor& tensor, std::int64_t row, std::int64_t col) {
    return tensor.scales.empty() ? 1 : tensor.scales[block_at(tensor, row, col)];
}

float value_at(const SourceTensor& tensor, std::int64_t row, std::int64_t col, const std::byte* value) {
    float x = 0;
    decode(tensor, value, 1, scale_at(tensor, row, col), &x);
    return x;
}

// To the end of the block of columns that `col` is in.
std::int64_t block_end(const SourceTensor& tensor, std::int64_t col) {
    const std::int64_t width = tensor.scales.empty() ? tensor.cols() : tensor.form.block.cols;
    return std::min(tensor.cols(), (col / width + 1) * width);
}

}  // namespace

void Difference::add(std::int64_t at_row, std::int64_t at_col, float wanted, float is) {
    if (count++ == 0) std::tie(row, col, expected, found) = std::tuple(at_row, at_col, wanted, is);
}

ValueComparison::ValueComparison(const SourceTensor& found, const SourceTensor& expected,
                                 bool power_of_two_scales)
    : found_(found),
      expected_(expected),
      equal_forms_(found.form == expected.form),
      least_use_(power_of_two_scales ? 0.5F : 0.99F) {
    expect(found.shape == expected.shape, "{}: {} compared with {}", found.where, found.shape.text(),
           expected.shape.text());
    if (!equal_forms_ && quantized(found.form.dtype)) used_.resize(found.scales.size());
}

void ValueComparison::compare(std::int64_t rows, const std::byte* found, const std::byte* expected) {
    const auto row_of = [&](const SourceTensor& tensor, const std::byte* first, std::int64_t row) {
        return first + static_cast<std::size_t>(row * tensor.cols()) * size_of(tensor.form.dtype);
    };
    if (equal_forms_) {
        compare_bytes(rows, found, expected);
    } else {
        for (std::int64_t row = 0; row < rows; ++row)
            compare_row(next_ + row, row_of(found_, found, row), row_of(expected_, expected, row));
    }
    next_ += rows;
}

void ValueComparison::compare_bytes(std::int64_t rows, const std::byte* found, const std::byte* expected) {
    const std::size_t size = size_of(found_.form.dtype);
    const std::int64_t count = rows * found_.cols();
    if (std::memcmp(found, expected, static_cast<std::size_t>(count) * size) == 0) return;
    for (std::int64_t i = 0; i < count; ++i, found += size, expected += size) {
        if (std::memcmp(found, expected, size) == 0) continue;
        const std::int64_t row = next_ + i / found_.cols();
        const std::int64_t col = i % found_.cols();
        values_.add(row, col, value_at(expected_, row, col, expected), value_at(found_, row, col, found));
    }
}

void ValueComparison::compare_row(std::int64_t row, const std::byte* found, const std::byte* expected) {
    const DType dtype = found_.form.dtype;
    std::array<float, kRun> x{};
    std::array<std::uint32_t, kRun> wrong{};
    const std::int64_t cols = found_.cols();
    for (std::int64_t col = 0, end = 0; col < cols; col = end) {
        end = std::min({col + kRun, block_end(found_, col), block_end(expected_, col)});
        const std::int64_t count = end - col;
        const std::byte* is = found + static_cast<std::size_t>(col) * size_of(dtype);
        const std::byte* from = expected + static_cast<std::size_t>(col) * size_of(expected_.form.dtype);
        decode(expected_, from, count, scale_at(expected_, row, col), x.data());
        bool any_wrong = false;
        if (dtype == DType::F32) {
            any_wrong = check_float32(x.data(), count, is, wrong.data());
        } else if (dtype == DType::BF16) {
            any_wrong = check_bfloat16(x.data(), count, is, wrong.data());
        } else {
            const auto scale = static_cast<double>(scale_at(found_, row, col));
            any_wrong = check_codes(codes_of(dtype), x.data(), count, is, scale, wrong.data());
            Used& used = used_[block_at(found_, row, col)];
            used.any = used.any || any_value(x.data(), count);
            used.code = std::max(used.code, largest_code(dtype, is, count));
        }
        for (std::int64_t i = 0; any_wrong && i < count; ++i) {
            if (wrong[static_cast<std::size_t>(i)] == 0) continue;
            const std::byte* value = is + static_cast<std::size_t>(i) * size_of(dtype);
            values_.add(row, col + i, x[static_cast<std::size_t>(i)], value_at(found_, row, col + i, value));
        }
    }
}

Difference ValueComparison::scales() const {
    Difference difference;
    if (!equal_forms_) return difference;
    for (std::size_t i = 0; i < found_.scales.size(); ++i) {
        if (found_.scales[i] == expected_.scales[i]) continue;
        const auto at = static_cast<std::int64_t>(i);
        difference.add(at / found_.scale_cols(), at % found_.scale_cols(), expected_.scales[i],
                       found_.scales[i]);
    }
    return difference;
}

Difference ValueComparison::wasted_ranges() const {
    Difference difference;
    for (std::size_t i = 0; i < used_.size(); ++i) {
        const Codes& codes = codes_of(found_.form.dtype);
        const float largest = codes.value[codes.largest];
        const float used = codes.value[used_[i].code];
        // No scale is below the smallest normal number: values that small cannot use the range.
        const bool smallest = found_.scales[i] <= std::numeric_limits<float>::min();
        if (!used_[i].any || smallest || used >= least_use_ * largest) continue;
        const auto at = static_cast<std::int64_t>(i);
        difference.add(at / found_.scale_cols(), at % found_.scale_cols(), largest, used);
    }
    return difference;
}

}  // namespace sluice
