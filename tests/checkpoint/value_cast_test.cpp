// Casts of values, to the bit, against the formulas written down plainly.
#include "checkpoint/value_cast_reference.hpp"
#include "core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace sluice {
namespace {

using test::Bytes;
using test::CastMatrix;
using test::element;
using test::empty_matrix;
using test::expected_cast;
using test::Matrix;
using test::random_matrix;
using test::set;
using test::value_of_code;

constexpr float kSmallestNormal = std::numeric_limits<float>::min();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// In runs of `step` rows, from memory that is not aligned.
CastMatrix cast_matrix(const Matrix& from, const ValueForm& form, std::int64_t step) {
    ValueCast cast({from.rows, from.cols}, from.form, from.scales, form, "model.safetensors (w)");
    CastMatrix outcome{empty_matrix(from.rows, from.cols, form), {}};
    Bytes unaligned(from.values.size() + 1);
    std::copy(from.values.begin(), from.values.end(), unaligned.begin() + 1);
    for (std::int64_t row = 0; row < from.rows; row += step) {
        cast.cast({row, std::min(row + step, from.rows)},
                  unaligned.data() + 1 + from.index(row, 0) * size_of(from.form.dtype),
                  outcome.matrix.values.data() + from.index(row, 0) * size_of(form.dtype));
    }
    outcome.matrix.scales = cast.scales();
    outcome.error = cast.error();
    return outcome;
}

std::vector<std::uint32_t> bits(const std::vector<float>& scales) {
    std::vector<std::uint32_t> found;
    for (const float scale : scales) found.push_back(std::bit_cast<std::uint32_t>(scale));
    return found;
}

void expect_equal(const Matrix& found, const Matrix& expected) {
    EXPECT_EQ(bits(found.scales), bits(expected.scales));
    ASSERT_EQ(found.values.size(), expected.values.size());
    const auto differs = std::ranges::mismatch(found.values, expected.values);
    EXPECT_TRUE(differs.in1 == found.values.end())
        << "byte " << differs.in1 - found.values.begin() << " of " << found.values.size();
}

// Both sum the same squares, in different orders.
void expect_close(const QuantizationError& found, const QuantizationError& expected) {
    EXPECT_EQ(found.largest, expected.largest);
    EXPECT_NEAR(found.squared_error, expected.squared_error, 1e-12 * expected.squared_error);
    EXPECT_NEAR(found.squared_value, expected.squared_value, 1e-12 * expected.squared_value);
}

void expect_cast(Matrix& from, const ValueForm& form) {
    const CastMatrix expected = expected_cast(from, form);
    const CastMatrix outcome = cast_matrix(from, form, from.rows);
    expect_equal(outcome.matrix, expected.matrix);
    expect_close(outcome.error, expected.error);
}

ValueForm plain(DType dtype) { return {dtype, {}}; }

std::vector<ValueForm> forms(std::int64_t cols) {
    const auto width = static_cast<int>(cols);
    return {plain(DType::F32),
            plain(DType::BF16),
            {DType::F8E4M3, {128, 128}},
            {DType::F8E4M3, {3, 5}},
            {DType::F8E4M3, {48, 80}},
            {DType::I8, {1, width}},
            {DType::I8, {1, (width + 1) / 2}},
            {DType::I8, {7, 40}}};
}

std::string name(const ValueForm& form) {
    return fmt::format("{} {} x {}", name_of(form.dtype), form.block.rows, form.block.cols);
}

struct Size {
    std::int64_t rows, cols;
};

class ValueCasts : public testing::TestWithParam<Size> {};
INSTANTIATE_TEST_SUITE_P(Sizes, ValueCasts,
                         testing::Values(Size{1, 1}, Size{1, 300}, Size{131, 1}, Size{128, 128},
                                         Size{130, 260}, Size{57, 129}, Size{260, 31}),
                         [](const auto& param) {
                             return fmt::format("{}x{}", param.param.rows, param.param.cols);
                         });

TEST_P(ValueCasts, AreTheReferencesToTheBitBetweenAllForms) {
    const auto [rows, cols] = GetParam();
    for (const ValueForm& from : forms(cols)) {
        Matrix usual = random_matrix(rows, cols, from, 1, false);
        Matrix wild = random_matrix(rows, cols, from, 2, true);
        for (const ValueForm& to : forms(cols)) {
            SCOPED_TRACE(name(from) + " to " + name(to));
            expect_cast(usual, to);
            expect_cast(wild, to);
        }
    }
}

TEST_P(ValueCasts, DoNotDependOnTheRunsThatRowsComeIn) {
    const auto [rows, cols] = GetParam();
    for (const ValueForm& from : forms(cols)) {
        const Matrix matrix = random_matrix(rows, cols, from, 3, false);
        for (const ValueForm& to : forms(cols)) {
            SCOPED_TRACE(name(from) + " to " + name(to));
            const std::int64_t step = ValueCast({rows, cols}, from, matrix.scales, to, "w").row_step();
            EXPECT_EQ(step, to.block.rows > 0 && !(from == to) ? to.block.rows : 1);
            const CastMatrix whole = cast_matrix(matrix, to, blocks(rows, static_cast<int>(step)) * step);
            for (const std::int64_t run : {step, 2 * step, 5 * step}) {
                const CastMatrix parts = cast_matrix(matrix, to, run);
                expect_equal(parts.matrix, whole.matrix);
                EXPECT_EQ(parts.error.largest, whole.error.largest);
                EXPECT_EQ(parts.error.squared_error, whole.error.squared_error);
                EXPECT_EQ(parts.error.squared_value, whole.error.squared_value);
            }
        }
    }
}

TEST(ValueCast, ReadsEveryCodeUnderAnyScale) {
    for (const DType dtype : {DType::F8E4M3, DType::I8}) {
        for (const float scale : {1.0F, 0.0F, 0.1F, 1.7e-5F, 3e5F, 1e-36F, 1e-42F, 3e36F}) {
            SCOPED_TRACE(fmt::format("{} times {}", name_of(dtype), scale));
            Matrix codes = empty_matrix(1, 256, {dtype, {1, 256}});
            for (int code = 0; code < 256; ++code) set(codes, 0, code, static_cast<std::uint8_t>(code));
            codes.scales[0] = scale;
            expect_cast(codes, plain(DType::BF16));
            expect_cast(codes, plain(DType::F32));
        }
    }
}

TEST(ValueCast, RoundsMiddlesToEven) {
    for (const DType dtype : {DType::F8E4M3, DType::I8}) {
        const bool fp8s = dtype == DType::F8E4M3;
        const int count = fp8s ? 0x7e : 127;
        // A scale of 1, for the largest is the largest code; and one that divides without a remainder.
        for (const float scale : {1.0F, 0.25F}) {
            Matrix values = empty_matrix(2, 3 * count + 1, plain(DType::F32));
            set(values, 0, 0, scale * (fp8s ? 448.0F : 127.0F));
            set(values, 1, 0, scale * (fp8s ? -448.0F : -127.0F));
            for (int code = 0; code < count; ++code) {
                const double middle = fp8s ? (value_of_code(code) + value_of_code(code + 1)) / 2 : code + 0.5;
                const float tie = static_cast<float>(middle) * scale;
                for (int i = 0; i < 3; ++i) {
                    const float value = i == 0 ? tie : std::nextafter(tie, i == 1 ? 0.0F : 1000.0F);
                    set(values, 0, 3 * code + 1 + i, value);
                    set(values, 1, 3 * code + 1 + i, -value);
                }
            }
            const ValueForm form{dtype, {2, static_cast<int>(values.cols)}};
            EXPECT_EQ(cast_matrix(values, form, 2).matrix.scales, std::vector{scale});
            expect_cast(values, form);
        }
    }
}

TEST(ValueCast, GivesZerosTheScaleOne) {
    for (const DType dtype : {DType::F8E4M3, DType::I8}) {
        Matrix zeros = empty_matrix(2, 4, plain(DType::F32));
        for (const int col : {0, 2}) set(zeros, 1, col, -0.0F);
        set(zeros, 0, 3, 2.0F);
        const ValueForm form{dtype, {2, 3}};
        const CastMatrix outcome = cast_matrix(zeros, form, 2);
        EXPECT_EQ(outcome.matrix.scales[0], 1.0F);
        EXPECT_EQ(outcome.matrix.scales[1], 2.0F / (dtype == DType::I8 ? 127.0F : 448.0F));
        expect_cast(zeros, form);
    }
    const CastMatrix nothing = cast_matrix(empty_matrix(3, 3, plain(DType::BF16)), {DType::I8, {1, 3}}, 3);
    EXPECT_EQ(nothing.error.relative(), 0);
}

TEST(ValueCast, KeepsScalesNormalUnderTinyValues) {
    for (const float largest : {0x1p-149F, 0x1p-126F, 447 * 0x1p-126F, 449 * 0x1p-126F}) {
        for (const DType dtype : {DType::F8E4M3, DType::I8}) {
            SCOPED_TRACE(fmt::format("{} to {}", largest, name_of(dtype)));
            Matrix values = empty_matrix(1, 3, plain(DType::F32));
            set(values, 0, 1, -largest);
            set(values, 0, 2, largest / 2);
            const ValueForm form{dtype, {1, 3}};
            EXPECT_GE(cast_matrix(values, form, 1).matrix.scales[0], kSmallestNormal);
            expect_cast(values, form);
        }
    }
}

TEST(ValueCast, TakesTheLargestFloats) {
    for (const DType dtype : {DType::F8E4M3, DType::I8}) {
        for (float largest = std::numeric_limits<float>::max(); largest > 3.3e38F; largest *= 0.9999F) {
            Matrix values = empty_matrix(1, 2, plain(DType::F32));
            set(values, 0, 1, largest);
            const CastMatrix outcome = cast_matrix(values, {dtype, {1, 2}}, 1);
            ASSERT_TRUE(std::isfinite(outcome.error.largest)) << largest << " as " << name_of(dtype);
            expect_cast(values, {dtype, {1, 2}});
        }
    }
}

TEST(ValueCast, KeepsWhatIsNoNumberWhereItDoesNotQuantise) {
    Matrix values = empty_matrix(1, 3, plain(DType::F32));
    set(values, 0, 0, kNaN);
    set(values, 0, 1, -kInfinity);
    const Matrix cast = cast_matrix(values, plain(DType::BF16), 1).matrix;
    EXPECT_EQ(element<bf16>(cast, 0, 0), 0x7fc0);
    EXPECT_EQ(element<bf16>(cast, 0, 1), 0xff80);
    EXPECT_EQ(cast_matrix(cast, plain(DType::F32), 1).matrix.values, values.values);
}

std::string refusal(const Matrix& from, const ValueForm& form) {
    try {
        cast_matrix(from, form, form.block.rows);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        return error.what();
    }
    return "accepted";
}

TEST(ValueCast, RefusesToQuantiseWhatIsNoFiniteNumber) {
    for (const ValueForm& form : {ValueForm{DType::F8E4M3, {4, 4}}, ValueForm{DType::I8, {1, 5}}}) {
        for (const auto& [value, text] : {std::pair(kNaN, "nan"), {kInfinity, "inf"}, {-kInfinity, "-inf"}}) {
            Matrix floats = random_matrix(9, 10, plain(DType::F32), 1, false);
            set(floats, 6, 7, value);
            const std::string expected = fmt::format("model.safetensors (w): row 6, column 7 is {};", text);
            EXPECT_EQ(refusal(floats, form).substr(0, expected.size()), expected);
            set(floats, 6, 7, 1.0F);
            EXPECT_EQ(refusal(floats, form), "accepted");
        }
        Matrix codes = random_matrix(9, 10, {DType::F8E4M3, {9, 10}}, 1, false);
        set(codes, 8, 9, fp8{0x7f});
        EXPECT_NE(refusal(codes, form).find("row 8, column 9 is nan"), std::string::npos);
        set(codes, 8, 9, fp8{0x7e});
        codes.scales[0] = 1e38F;
        EXPECT_NE(refusal(codes, form).find(" is -inf"), std::string::npos) << refusal(codes, form);
    }
}

TEST(ValueCast, NamesCastsThatItCannotDo) {
    const std::vector<float> one{1.0F};
    const auto make = [&](const ValueForm& from, const std::vector<float>& scales, const ValueForm& to) {
        ValueCast({2, 2}, from, scales, to, "w");
    };
    EXPECT_THROW(make(plain(DType::BF16), {}, plain(DType::F8E4M3)), Error) << "without a block";
    EXPECT_THROW(make(plain(DType::F8E4M3), {}, plain(DType::BF16)), Error) << "without scales";
    EXPECT_THROW(make(plain(DType::I32), {}, plain(DType::F32)), Error);
    EXPECT_THROW(make(plain(DType::F32), {}, {DType::BF16, {2, 2}}), Error);
    EXPECT_THROW(make({DType::I8, {1, 2}}, one, plain(DType::BF16)), Error) << "two rows have two scales";
}

TEST(ValueCast, WantsRowsInOrderAndWholeBlocks) {
    const Matrix from = random_matrix(6, 3, plain(DType::F32), 1, false);
    ValueCast cast({6, 3}, from.form, {}, {DType::F8E4M3, {4, 4}}, "w");
    Bytes out(18);
    EXPECT_THROW(cast.cast({4, 6}, from.values.data(), out.data()), Error) << "not from the first";
    EXPECT_THROW(cast.cast({0, 3}, from.values.data(), out.data()), Error) << "a part of a block";
    EXPECT_THROW(cast.cast({0, 8}, from.values.data(), out.data()), Error) << "beyond the last";
    cast.cast({0, 4}, from.values.data(), out.data());
    EXPECT_THROW(cast.cast({0, 4}, from.values.data(), out.data()), Error) << "twice";
    cast.cast({4, 6}, from.values.data() + 48, out.data() + 12);
}

TEST(ValueCast, SeesTensorsAsMatrices) {
    Matrix from = random_matrix(5, 12, plain(DType::F32), 1, false);
    Bytes out(60);
    ValueCast cast({5, 3, 4}, from.form, {}, {DType::I8, {1, 12}}, "w");
    cast.cast({0, 5}, from.values.data(), out.data());
    EXPECT_EQ(out, expected_cast(from, {DType::I8, {1, 12}}).matrix.values);
    ValueCast norm({60}, from.form, {}, plain(DType::BF16), "norm");
    Bytes halves(120);
    norm.cast({0, 60}, from.values.data(), halves.data());
    EXPECT_EQ(halves, expected_cast(from, plain(DType::BF16)).matrix.values);
}

TEST(QuantizationErrors, AreRelativeToTheValues) {
    QuantizationError error{0.5, 1, 16};
    error.add({0.25, 3, 9});
    EXPECT_EQ(error.largest, 0.5);
    EXPECT_EQ(error.relative(), std::sqrt(4.0 / 25.0));
}

}  // namespace
}  // namespace sluice
