// What Ops hands to the kernels, where no decoder of the other suites would notice.
#include "backend/ops.hpp"
#include "core/error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace sluice {
namespace {

using kernels::Family;

View matrix(std::vector<float>& values, std::int64_t rows, std::int64_t width) {
    return dense_view(values.data(), DType::F32, {rows, width});
}
View row(std::vector<float>& values) {
    return dense_view(values.data(), DType::F32, {static_cast<std::int64_t>(values.size())});
}

class OpsTest : public testing::TestWithParam<Family> {
protected:
    const Ops ops{GetParam(), 2};
};

TEST_P(OpsTest, EmbedScalesTheRowsItHolds) {
    std::vector<float> table = {1, 2, 3, 4}, out(6, 9);
    std::array<std::int32_t, 3> ids = {8, 7, 9};
    ops.embed(dense_view(ids.data(), DType::I32, {3}), matrix(table, 2, 2), 7, 2.5F, matrix(out, 3, 2));
    EXPECT_EQ(out, (std::vector<float>{7.5F, 10, 2.5F, 5, 0, 0}));
}

TEST_P(OpsTest, AClockIsToldOfEveryOperation) {
    OpClock clock;
    const Ops timed(GetParam(), 1, &clock);
    std::vector<float> delta = {3, 4}, gain = {1, 2}, x = {1, 1}, out(2);
    timed.rms_norm(matrix(x, 1, 2), row(gain), 0, matrix(out, 1, 2));
    for (int i = 0; i < 3; ++i)
        timed.seam(matrix(x, 1, 2), matrix(delta, 1, 2), std::nullopt, row(gain), 0, matrix(out, 1, 2));
    ASSERT_EQ(clock.totals().size(), 2U);
    EXPECT_EQ(clock.totals().at("rms_norm").calls, 1);
    EXPECT_EQ(clock.totals().at("seam").calls, 3);
    EXPECT_GT(clock.totals().at("seam").seconds, 0);
    clock.clear();
    EXPECT_TRUE(clock.totals().empty());
}

TEST_P(OpsTest, SeamNormsTheDeltaWhereItHasAGain) {
    std::vector<float> delta = {3, 4}, post = {1, 2}, next = {1, 1}, out(2);
    std::vector<float> x = {1, 1};
    ops.seam(matrix(x, 1, 2), matrix(delta, 1, 2), std::nullopt, row(next), 0, matrix(out, 1, 2));
    EXPECT_EQ(x, (std::vector<float>{4, 5}));
    x = {1, 1};
    ops.seam(matrix(x, 1, 2), matrix(delta, 1, 2), row(post), row(next), 0, matrix(out, 1, 2));
    const float root = std::sqrt(12.5F);
    EXPECT_FLOAT_EQ(x[0], 1 + 3 / root);
    EXPECT_FLOAT_EQ(x[1], 1 + 8 / root);
    std::vector<float> wide = {1, 2, 3};
    EXPECT_THROW(ops.seam(matrix(x, 1, 2), matrix(delta, 1, 2), row(wide), row(next), 0, matrix(out, 1, 2)),
                 Error);
}

TEST_P(OpsTest, AddBiasTakesColumnsOfAWiderMatrix) {
    std::vector<float> x = {1, 2, 3, 4, 5, 6}, bias = {10, 20};
    ops.add_bias(row(bias), matrix(x, 2, 3).columns(1, 2));
    EXPECT_EQ(x, (std::vector<float>{1, 12, 23, 4, 15, 26}));
    EXPECT_THROW(ops.add_bias(row(bias), matrix(x, 2, 3)), Error);
}

// By a quarter of a turn at position 1, where the cosine is 0.
TEST_P(OpsTest, StoreRowsRotatesHeadsOnTheWay) {
    std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8}, table = {1, 0, 0, 1};
    std::vector<float> pages(kernels::kPageTokens * 4, -1);
    std::array<std::int32_t, 2> slots = {2, 0}, positions = {1, 0};
    const View cache = dense_view(pages.data(), DType::F32, {1, kernels::kPageTokens, 4});
    const auto store = [&](std::int64_t heads, std::int64_t column, std::int64_t dim) {
        const Ops::Rotation rotation{
            heads, column, dim, true, dense_view(positions.data(), DType::I32, {2}), matrix(table, 2, 2)};
        ops.store_rows(matrix(x, 2, 4), dense_view(slots.data(), DType::I32, {2}), rotation, cache);
        return std::vector<float>(pages.begin(), pages.begin() + 12);
    };
    EXPECT_EQ(store(1, 2, 2), (std::vector<float>{5, 6, 7, 8, -1, -1, -1, -1, 1, 2, -4, 3}));
    EXPECT_EQ(store(2, 0, 2), (std::vector<float>{5, 6, 7, 8, -1, -1, -1, -1, -2, 1, -4, 3}));
    EXPECT_EQ(store(0, 0, 0), (std::vector<float>{5, 6, 7, 8, -1, -1, -1, -1, 1, 2, 3, 4}));
    EXPECT_EQ(x, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_THROW(store(2, 1, 2), Error);  // beyond the row
    EXPECT_THROW(store(1, 0, 4), Error);  // not the table's width
    std::vector<float> narrow(2);
    EXPECT_THROW(ops.store_rows(matrix(narrow, 1, 2), dense_view(slots.data(), DType::I32, {1}), {}, cache),
                 Error);
}

TEST_P(OpsTest, AttentionLeavesMaskedKeysOut) {
    std::vector<float> pages(kernels::kPageTokens * 2), q = {1}, out(1);
    for (std::size_t p = 0; p < 3; ++p) pages[2 * p + 1] = static_cast<float>(1 + p);  // keys 0, values 1 2 3
    const std::int32_t page = 0;
    const auto attend = [&](std::vector<std::int32_t> masked) {
        const kernels::SequenceRows rows{0, 1, 3, &page, masked};
        const PagedRows cache{dense_view(pages.data(), DType::F32, {1, kernels::kPageTokens, 2}), 1};
        ops.attention(matrix(q, 1, 1), {{&rows, 1}}, cache, {1, 1, 1, 1, 1, 0}, matrix(out, 1, 1));
        return out[0];
    };
    EXPECT_FLOAT_EQ(attend({}), 2);
    EXPECT_FLOAT_EQ(attend({1}), 2);
    EXPECT_FLOAT_EQ(attend({0, 1}), 3);
    EXPECT_FLOAT_EQ(attend({0, 1, 2, 63}), 2);
}

INSTANTIATE_TEST_SUITE_P(Every, OpsTest, testing::Values(Family::Reference, Family::Cpu),
                         [](const auto& of) { return of.param == Family::Cpu ? "Cpu" : "Reference"; });

}  // namespace
}  // namespace sluice
