#include "core/tensor.hpp"

#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace sluice {
namespace {

TEST(Shape, CountsAndNames) {
    const Shape shape{2, 3, 4};
    EXPECT_EQ(shape.rank(), 3);
    EXPECT_EQ(shape[0], 2);
    EXPECT_EQ(shape[2], 4);
    EXPECT_EQ(shape.elements(), 24);
    EXPECT_EQ(shape.text(), "[2, 3, 4]");
    EXPECT_EQ(Shape().elements(), 1) << "a scalar";
    EXPECT_EQ(Shape().text(), "[]");
    EXPECT_EQ((Shape{7, 0}).elements(), 0);
    EXPECT_EQ((Shape{1 << 20, 1 << 20}).elements(), 1LL << 40);
}

TEST(Shape, ElementsOfARow) {
    EXPECT_EQ((Shape{2, 3, 4}).row_elements(), 12);
    EXPECT_EQ((Shape{0, 3}).row_elements(), 3) << "no rows";
    EXPECT_EQ((Shape{5, 0}).row_elements(), 0);
    EXPECT_EQ((Shape{7}).row_elements(), 1);
}

TEST(Shape, EqualMeansSameRankAndSizes) {
    EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
    EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
    EXPECT_NE((Shape{2}), (Shape{2, 0}));
}

TEST(Shape, HasFourDimensionsAtMost) {
    Shape shape{1, 2, 3, 4};
    expect_error([&] { shape.append(5); }, ExitCode::Internal, {"at most 4"});
    expect_error([] { Shape{1, 2, 3, 4, 5}; }, ExitCode::Internal, {"at most 4"});
}

class ViewTest : public testing::Test {
protected:
    ViewTest() { std::iota(numbers_.begin(), numbers_.end(), 0); }

    // What the view shows, row by row.
    static std::vector<std::int32_t> shown(const View& view) {
        std::vector<std::int32_t> values;
        for (std::int64_t r = 0; r < view.shape[0]; ++r)
            for (std::int64_t c = 0; c < view.shape[1]; ++c)
                values.push_back(view.as<std::int32_t>()[r * view.row_stride + c]);
        return values;
    }

    std::vector<std::int32_t> numbers_ = std::vector<std::int32_t>(20);
    View matrix_ = dense_view(numbers_.data(), DType::I32, {4, 5});
};

TEST_F(ViewTest, DenseRowsFollowEachOther) {
    EXPECT_EQ(matrix_.row_stride, 5);
    EXPECT_EQ(shown(matrix_), numbers_);
    EXPECT_EQ(dense_view(numbers_.data(), DType::I32, {2, 2, 5}).row_stride, 5);
    EXPECT_EQ(dense_view(numbers_.data(), DType::I32, {}).row_stride, 1);
}

TEST_F(ViewTest, RowsAndColumnsArePartsOfTheMatrix) {
    EXPECT_EQ(shown(matrix_.rows(1, 2)), (std::vector<std::int32_t>{5, 6, 7, 8, 9, 10, 11, 12, 13, 14}));
    EXPECT_EQ(shown(matrix_.columns(3, 2)), (std::vector<std::int32_t>{3, 4, 8, 9, 13, 14, 18, 19}));
    const std::vector<std::int32_t> corner{13, 18};
    EXPECT_EQ(shown(matrix_.rows(2, 2).columns(3, 1)), corner);
    EXPECT_EQ(shown(matrix_.columns(3, 1).rows(2, 2)), corner);
    EXPECT_EQ(shown(matrix_.columns(1, 4).columns(2, 1).rows(2, 2)), corner);
}

TEST_F(ViewTest, PartsMayBeEmptyOrWhole) {
    EXPECT_EQ(matrix_.rows(4, 0).shape, (Shape{0, 5}));
    EXPECT_EQ(matrix_.columns(5, 0).shape, (Shape{4, 0}));
    EXPECT_EQ(shown(matrix_.rows(0, 4)), numbers_);
    EXPECT_EQ(shown(matrix_.columns(0, 5)), numbers_);
}

TEST_F(ViewTest, AConstViewIsTheSameView) {
    const ConstView part = matrix_.rows(1, 2);
    EXPECT_EQ(part.data, numbers_.data() + 5);
    EXPECT_EQ(part.shape, (Shape{2, 5}));
    EXPECT_EQ(part.row_stride, 5);
    EXPECT_EQ(part.dtype, DType::I32);
    EXPECT_EQ(part.place, Place::Host);
}

TEST_F(ViewTest, PartsOutsideTheMatrixAreRefused) {
    expect_error([&] { (void)matrix_.rows(-1, 2); }, ExitCode::Internal, {"rows -1+2", "[4, 5]"});
    expect_error([&] { (void)matrix_.rows(3, 2); }, ExitCode::Internal, {"rows 3+2", "[4, 5]"});
    expect_error([&] { (void)matrix_.rows(5, 0); }, ExitCode::Internal, {"rows 5+0"});
    expect_error([&] { (void)matrix_.columns(-1, 1); }, ExitCode::Internal, {"columns -1+1", "[4, 5]"});
    expect_error([&] { (void)matrix_.columns(2, 4); }, ExitCode::Internal, {"columns 2+4", "[4, 5]"});
    expect_error([&] { (void)matrix_.rows(0, 2).rows(1, 2); }, ExitCode::Internal, {"[2, 5]"});
}

TEST_F(ViewTest, OnlyMatricesHaveRowsAndColumns) {
    const View cube = dense_view(numbers_.data(), DType::I32, {2, 2, 5});
    expect_error([&] { (void)cube.rows(0, 1); }, ExitCode::Internal, {"[2, 2, 5]"});
    expect_error([&] { (void)cube.columns(0, 1); }, ExitCode::Internal, {"[2, 2, 5]"});
}

}  // namespace
}  // namespace sluice
