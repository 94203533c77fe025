// What packing checks and reports, and the matrices it reads.
#include "core/error.hpp"
#include "kernels/product_fixture.hpp"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

TEST(Pack, RefusesPartsThatMakeNoWhole) {
    const Kind kind = all_kinds()[6];  // fp8 in blocks
    const TestWeight weight(kind, 64, 300, 1);
    for (const Family family : {Family::Reference, Family::Cpu}) {
        const auto refused = [&](const std::vector<WeightPart>& parts) {
            EXPECT_THROW(pack(family, parts, kind), Error);
        };
        refused({});
        refused({{weight.slice(0, 30, 0, 300), 0, 0}, {weight.slice(31, 33, 0, 300), 31, 0}});  // hole
        refused({{weight.slice(0, 30, 0, 300), 0, 0}, {weight.slice(29, 35, 0, 300), 29, 0}});  // overlap
        refused(
            {{weight.slice(0, 64, 0, 128), 0, 0}, {weight.slice(0, 63, 128, 128), 0, 1}});  // short segment
        refused({{weight.slice(0, 32, 0, 200), 0, 0}, {weight.slice(32, 32, 50, 200), 32, 0}});  // other grid
        HostMatrix plain = weight.slice(32, 32, 0, 300);
        plain.scales = nullptr;
        refused({{weight.slice(0, 32, 0, 300), 0, 0}, {plain, 32, 0}});  // unquantised half
        for (const DType dtype : {DType::I8, DType::I32, DType::U8}) {
            plain.dtype = dtype;
            refused({{plain, 0, 0}});
        }
    }
}

TEST(Pack, TellsWhatItHolds) {
    const TestWeight weight(all_kinds()[6], 40, 300, 1);  // 3 panels; blocks of 128, 128, 44 columns
    const Packed packed = pack_whole(Family::Cpu, weight);
    EXPECT_EQ(packed->bytes, 3U * 16 * 300 + 3U * 48 * sizeof(float));
}

TEST(HostMatrixTest, RangesAndTransposesReadTheSameElements) {
    for (const Kind& kind : all_kinds()) {
        const TestWeight weight(kind, 70, 90, 4);
        const HostMatrix whole = weight.whole();
        const HostMatrix rows = whole.row_range(33, 20);
        const HostMatrix columns = whole.transposed().row_range(41, 30);
        ASSERT_EQ(rows.rows, 20);
        ASSERT_EQ(columns.cols, 70);
        for (std::int64_t i = 0; i < 20; ++i) {
            for (std::int64_t j = 0; j < 30; ++j) {
                ASSERT_EQ(rows.at(i, j), whole.at(33 + i, j)) << kind.name;
                ASSERT_EQ(columns.at(j, i), whole.at(i, 41 + j)) << kind.name;
            }
        }
        EXPECT_THROW(whole.row_range(60, 11), Error);
    }
}

}  // namespace
}  // namespace sluice::test
