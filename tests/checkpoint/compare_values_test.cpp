// What counts as equal, exact, and within half a step.
#include "checkpoint/compare_values.hpp"
#include "core/dtype.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace sluice {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A tensor whose values are here and not in files.
struct Matrix {
    SourceTensor tensor;
    std::vector<std::byte> bytes;
};

template <class T>
Matrix matrix(DType dtype, Shape shape, const std::vector<T>& values, Block block = {},
              std::vector<float> scales = {}) {
    Matrix made;
    made.tensor.form = {dtype, block};
    made.tensor.shape = shape;
    made.tensor.scales = std::move(scales);
    made.tensor.where = "test";
    made.bytes.resize(values.size() * sizeof(T));
    std::memcpy(made.bytes.data(), values.data(), made.bytes.size());
    return made;
}

template <class T>
Matrix row(DType dtype, const std::vector<T>& values, std::vector<float> scales = {}) {
    const auto width = static_cast<std::int64_t>(values.size());
    const Block block = scales.empty() ? Block{} : Block{1, static_cast<int>(width)};
    return matrix(dtype, {1, width}, values, block, std::move(scales));
}

ValueComparison compare(const Matrix& found, const Matrix& expected, std::int64_t rows_at_once = 1) {
    ValueComparison comparison(found.tensor, expected.tensor);
    const auto at = [](const Matrix& m, std::int64_t first) {
        return m.bytes.data() +
               static_cast<std::size_t>(first * m.tensor.cols()) * size_of(m.tensor.form.dtype);
    };
    for (std::int64_t first = 0; first < found.tensor.rows(); first += rows_at_once)
        comparison.compare(std::min(rows_at_once, found.tensor.rows() - first), at(found, first),
                           at(expected, first));
    return comparison;
}

TEST(CompareValues, EqualFormsAreComparedByteByByte) {
    const auto values = row<float>(DType::F32, {1, kNaN, -0.0F, 4});
    EXPECT_EQ(compare(values, values).values().count, 0);
    const auto other = row<float>(DType::F32, {1, kNaN, 0.0F, 5});
    const ValueComparison comparison = compare(other, values);
    EXPECT_TRUE(comparison.equal_forms());
    EXPECT_EQ(comparison.values().count, 2);
    EXPECT_EQ(comparison.values().col, 2);
    EXPECT_EQ(comparison.values().expected, 0);
}

TEST(CompareValues, EqualFormsWithOtherScales) {
    const std::vector<std::int8_t> codes(6, 3);
    const auto made = [&](std::vector<float> scales) {
        return matrix(DType::I8, {2, 3}, codes, {1, 2}, std::move(scales));
    };
    const Difference difference = compare(made({1, 2, 3, 5}), made({1, 2, 3, 4})).scales();
    EXPECT_EQ(difference.count, 1);
    EXPECT_EQ(difference.row, 1);
    EXPECT_EQ(difference.col, 1);
    EXPECT_EQ(difference.expected, 4);
    EXPECT_EQ(difference.found, 5);
}

TEST(CompareValues, Bfloat16IsRoundedToNearestEven) {
    std::mt19937 random(3);
    std::vector<float> values{kInfinity, -kInfinity, kNaN, 0.0F, -0.0F, 1.00390625F, 1.01171875F};
    while (values.size() < 20'000) {
        const auto bits = static_cast<std::uint32_t>(random());
        values.push_back(std::bit_cast<float>(bits));
        values.push_back(std::bit_cast<float>((bits & 0xffff0000U) | 0x8000U));  // a tie
    }
    std::vector<bf16> rounded;
    for (const float value : values) rounded.push_back(to_bf16(value));
    const auto expected = row(DType::F32, values);
    EXPECT_EQ(compare(row(DType::BF16, rounded), expected).values().count, 0);
    for (const int step : {-1, 1}) {
        std::vector<bf16> off;
        std::int64_t numbers = 0;
        for (const bf16 value : rounded) {
            const bool number = !std::isnan(to_float(value));
            numbers += number ? 1 : 0;
            off.push_back(number ? static_cast<bf16>(value + step) : value);
        }
        EXPECT_EQ(compare(row(DType::BF16, off), expected).values().count, numbers) << step;
    }
}

TEST(CompareValues, DequantisedIsCodeTimesScale) {
    std::vector<fp8> codes(256);
    for (std::size_t code = 0; code < 256; ++code) codes[code] = static_cast<fp8>(code);
    const float scale = 0.0123F;
    const auto expected = row(DType::F8E4M3, codes, {scale});
    std::vector<float> products;
    std::vector<bf16> rounded;
    for (const fp8 code : codes) {
        products.push_back(fp8_to_float(code) * scale);
        rounded.push_back(to_bf16(products.back()));
    }
    EXPECT_EQ(compare(row(DType::F32, products), expected).values().count, 0);
    EXPECT_EQ(compare(row(DType::BF16, rounded), expected).values().count, 0);
    products[9] = std::nextafter(products[9], 1.0F);
    products[200] = kNaN;
    products[127] = 0;  // where NaN is expected
    const Difference difference = compare(row(DType::F32, products), expected).values();
    EXPECT_EQ(difference.count, 3);
    EXPECT_EQ(difference.col, 9);
    EXPECT_EQ(difference.found, products[9]);
}

// Every value's nearest code is right, and both of its neighbours are not.
void expect_only_nearest(DType dtype, float scale, const std::function<int(float)>& nearest, int largest) {
    std::mt19937 random(5);
    std::uniform_real_distribution<float> uniform(-1, 1);
    const float top = dtype == DType::I8 ? 127.0F : 448.0F;
    std::vector<float> values{top * scale, -top * scale, 0.0F};
    for (int i = 0; i < 5000; ++i)
        values.push_back(uniform(random) * top * std::ldexp(1.0F, -i % 16) * scale);
    std::vector<std::uint8_t> codes;
    std::vector<std::uint8_t> above;
    std::vector<std::uint8_t> below;
    for (const float value : values) {
        const int code = nearest(std::fabs(value) / scale);
        const auto signed_code = [&](int magnitude) {
            const bool negative = std::signbit(value);
            if (dtype == DType::I8) return static_cast<std::uint8_t>(negative ? -magnitude : magnitude);
            return static_cast<std::uint8_t>(negative ? magnitude | 0x80 : magnitude);
        };
        codes.push_back(signed_code(code));
        above.push_back(signed_code(code == largest ? largest - 1 : code + 1));
        below.push_back(signed_code(code == 0 ? 1 : code - 1));
    }
    const auto expected = row(DType::F32, values);
    const auto count = static_cast<std::int64_t>(values.size());
    EXPECT_EQ(compare(row(dtype, codes, {scale}), expected).values().count, 0) << scale;
    EXPECT_EQ(compare(row(dtype, codes, {scale}), expected).wasted_ranges().count, 0) << scale;
    EXPECT_EQ(compare(row(dtype, above, {scale}), expected).values().count, count) << scale;
    EXPECT_EQ(compare(row(dtype, below, {scale}), expected).values().count, count) << scale;
}

TEST(CompareValues, Fp8IsTheNearestCode) {
    for (const float scale : {1.0F, 0.00037F, 3.1e-30F})
        expect_only_nearest(
            DType::F8E4M3, scale, [](float x) { return to_fp8(x); }, 0x7e);
}

TEST(CompareValues, Int8IsTheNearestCode) {
    for (const float scale : {1.0F, 0.00037F, 3.1e-30F})
        expect_only_nearest(
            DType::I8, scale, [](float x) { return static_cast<int>(std::nearbyint(x)); }, 127);
}

TEST(CompareValues, HalfAStepIsTheLimit) {
    const auto int8 = [](std::int8_t code, float x) {
        return compare(row<std::int8_t>(DType::I8, {code, 127}, {2.0F}), row<float>(DType::F32, {x, 254}))
            .values()
            .count;
    };
    EXPECT_EQ(int8(5, 9.0F), 0);
    EXPECT_EQ(int8(5, 11.0F), 0);
    EXPECT_EQ(int8(5, 11.001F), 1);
    EXPECT_EQ(int8(5, 8.999F), 1);
    EXPECT_EQ(int8(5, kNaN), 1);
    EXPECT_EQ(int8(127, kInfinity), 1);
    const auto fp8_of = [](fp8 code, float x) {
        return compare(row<fp8>(DType::F8E4M3, {code, 0x7e}, {1.0F}), row<float>(DType::F32, {x, 448}))
            .values()
            .count;
    };
    EXPECT_EQ(fp8_of(0x38, 1.0625F), 0);  // half way from 1 to 1.125
    EXPECT_EQ(fp8_of(0x38, 1.063F), 1);
    EXPECT_EQ(fp8_of(0x38, 0.96875F), 0);  // half way down to 0.9375
    EXPECT_EQ(fp8_of(0x38, 0.968F), 1);
    EXPECT_EQ(fp8_of(0x00, 0x1p-10F), 0);  // half the smallest
    EXPECT_EQ(fp8_of(0x00, 0x1.01p-10F), 1);
    EXPECT_EQ(fp8_of(0x80, 0x1p-10F), 0);
    EXPECT_EQ(fp8_of(0x7e, 464.0F), 0);
    EXPECT_EQ(fp8_of(0x7e, 465.0F), 1);
    EXPECT_EQ(fp8_of(0x7f, kNaN), 1);  // a quantised NaN is none's nearest
}

TEST(CompareValues, RangesThatAreWasted) {
    const auto wasted = [](std::int8_t code) {
        return compare(row<std::int8_t>(DType::I8, {0, code}, {1.0F}),
                       row<float>(DType::F32, {0, static_cast<float>(code)}))
            .wasted_ranges();
    };
    EXPECT_EQ(wasted(127).count, 0);
    EXPECT_EQ(wasted(-126).count, 0);
    EXPECT_EQ(wasted(125).count, 1);
    EXPECT_EQ(wasted(125).found, 125);
    EXPECT_EQ(wasted(125).expected, 127);
    EXPECT_EQ(wasted(0).count, 0);  // no values: any scale will do
    const auto fp8_block = [](fp8 code, float scale) {
        return compare(row<fp8>(DType::F8E4M3, {code}, {scale}),
                       row<float>(DType::F32, {fp8_to_float(code) * scale}))
            .wasted_ranges()
            .count;
    };
    EXPECT_EQ(fp8_block(0xfe, 1), 0);
    EXPECT_EQ(fp8_block(0x7d, 1), 1);
    EXPECT_EQ(fp8_block(0x7d, std::numeric_limits<float>::min()), 0);
    // A value that its code lost altogether.
    const auto code = row<fp8>(DType::F8E4M3, {0}, {1.0F});
    const auto value = row<float>(DType::F32, {1e-9F});
    const ValueComparison lost = compare(code, value);
    EXPECT_EQ(lost.values().count, 0);
    EXPECT_EQ(lost.wasted_ranges().count, 1);
}

// The smallest power of two that no value overflows leaves the largest code between half the top and the top.
TEST(CompareValues, PowersOfTwoUseHalfTheRange) {
    const auto wasted = [](float largest, bool power_of_two_scales) {
        const auto found = row<fp8>(DType::F8E4M3, {to_fp8(largest), to_fp8(1)}, {0.25F});
        const auto expected = row<float>(DType::F32, {largest / 4, 0.25F});
        ValueComparison comparison(found.tensor, expected.tensor, power_of_two_scales);
        comparison.compare(1, found.bytes.data(), expected.bytes.data());
        EXPECT_EQ(comparison.values().count, 0);
        return comparison.wasted_ranges().count;
    };
    EXPECT_EQ(wasted(224, true), 0);
    EXPECT_EQ(wasted(208, true), 1);
    EXPECT_EQ(wasted(448, false), 0);
    EXPECT_EQ(wasted(416, false), 1);
}

// Blocks of both sides that do not fall together, rows in pieces of any height.
TEST(CompareValues, BlocksOfBothSides) {
    constexpr std::int64_t kRows = 9;
    constexpr std::int64_t kCols = 1300;
    std::mt19937 random(11);
    std::vector<fp8> codes(kRows * kCols);
    for (fp8& code : codes) code = static_cast<fp8>(random() & 0x77U);
    std::vector<float> scales(3 * 6);
    for (float& scale : scales) scale = 0.001F * static_cast<float>(1 + random() % 9);
    const auto expected = matrix(DType::F8E4M3, {kRows, kCols}, codes, {4, 250}, scales);
    std::vector<float> own_scales(kRows * 2);
    std::vector<std::int8_t> own(codes.size());
    for (std::int64_t block = 0; block < kRows * 2; ++block) {
        const std::int64_t r = block / 2;
        const auto x = [&](std::int64_t c) {
            return fp8_to_float(codes[static_cast<std::size_t>(r * kCols + c)]) *
                   scales[static_cast<std::size_t>(r / 4 * 6 + c / 250)];
        };
        const std::int64_t begin = block % 2 * 700;
        const std::int64_t end = std::min(kCols, begin + 700);
        float& scale = own_scales[static_cast<std::size_t>(block)];
        for (std::int64_t c = begin; c < end; ++c) scale = std::max(scale, x(c) / 127);
        for (std::int64_t c = begin; c < end; ++c)
            own[static_cast<std::size_t>(r * kCols + c)] =
                static_cast<std::int8_t>(std::nearbyint(x(c) / scale));
    }
    for (const std::int64_t rows : {1, 2, 4, 9}) {
        const auto right = matrix(DType::I8, {kRows, kCols}, own, {1, 700}, own_scales);
        EXPECT_EQ(compare(right, expected, rows).values().count, 0);
        EXPECT_EQ(compare(right, expected, rows).wasted_ranges().count, 0);
        auto wrong = own;
        for (const std::size_t at : {std::size_t{6 * kCols + 1299}, std::size_t{3 * kCols + 701}})
            wrong[at] = static_cast<std::int8_t>(wrong[at] > 60 ? wrong[at] - 2 : wrong[at] + 2);
        const auto comparison =
            compare(matrix(DType::I8, {kRows, kCols}, wrong, {1, 700}, own_scales), expected, rows);
        EXPECT_EQ(comparison.values().count, 2);
        EXPECT_EQ(comparison.values().row, 3);
        EXPECT_EQ(comparison.values().col, 701);
    }
}

}  // namespace
}  // namespace sluice
