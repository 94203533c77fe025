// What packing checks and reports, and the matrices it reads.
#include "core/error.hpp"
#include "kernels/kernel_suite.hpp"
#include "kernels/product_fixture.hpp"
#include "kernels/workspace.hpp"

namespace sluice::test {
namespace {

class Pack : public KernelSuite<PackArgs> {
protected:
    Family family() const { return at(GetParam()).family; }
};

TEST_P(Pack, RefusesPartsThatMakeNoWhole) {
    const Kind kind = all_kinds()[6];  // fp8 in blocks
    const TestWeight weight(kind, 64, 300, 1);
    const auto refused = [&](const std::vector<WeightPart>& parts) {
        EXPECT_THROW(pack(family(), parts, kind), Error);
    };
    refused({});
    refused({{weight.slice(0, 30, 0, 300), 0, 0}, {weight.slice(31, 33, 0, 300), 31, 0}});   // hole
    refused({{weight.slice(0, 30, 0, 300), 0, 0}, {weight.slice(29, 35, 0, 300), 29, 0}});   // overlap
    refused({{weight.slice(0, 64, 0, 128), 0, 0}, {weight.slice(0, 63, 128, 128), 0, 1}});   // short segment
    refused({{weight.slice(0, 32, 0, 200), 0, 0}, {weight.slice(32, 32, 50, 200), 32, 0}});  // other grid
    HostMatrix plain = weight.slice(32, 32, 0, 300);
    plain.scales = nullptr;
    refused({{weight.slice(0, 32, 0, 300), 0, 0}, {plain, 32, 0}});  // unquantised half
    for (const DType dtype : {DType::I32, DType::U8}) {
        plain.dtype = dtype;
        refused({{plain, 0, 0}});
    }
}

TEST_P(Pack, RefusesPartsOfUnlikeCodes) {
    const Kind fp8{"fp8", DType::F8E4M3, 1, 128, 0, 0, false, Products::Bf16, false, false};
    Kind int8 = fp8, wider = fp8;
    int8.dtype = wider.dtype = DType::I8;
    wider.block_cols = 256;
    const TestWeight a(fp8, 20, 256, 1), b(int8, 20, 256, 2), c(wider, 20, 256, 3);
    EXPECT_THROW(pack(family(), {{a.whole(), 0, 0}, {b.whole(), 20, 0}}, fp8), Error);
    EXPECT_THROW(pack(family(), {{b.whole(), 0, 0}, {c.whole(), 20, 0}}, int8), Error);
    EXPECT_EQ(pack(family(), {{c.whole(), 0, 0}, {c.whole(), 20, 0}}, wider)->rows, 40);
    int8.dequantize = true;  // then all are bfloat16
    EXPECT_EQ(pack(family(), {{a.whole(), 0, 0}, {b.whole(), 20, 0}, {c.whole(), 40, 0}}, int8)->rows, 60);
}

TEST(CpuPack, TellsWhatItHolds) {
    const TestWeight weight(all_kinds()[6], 40, 300, 1);  // 3 panels; blocks of 128, 128, 44 columns
    const Packed packed = pack_whole(Family::Cpu, weight);
    EXPECT_EQ(packed->bytes, 3U * 16 * 300 + 3U * 3 * sizeof(float) + 3U * sizeof(std::uint16_t));
    const Kind int8{"int8", DType::I8, 1, 300, 0, 0, false, Products::Fp8, false, false};
    EXPECT_EQ(pack_whole(Family::Cpu, TestWeight(int8, 40, 300, 1))->bytes,
              3U * 16 * 300 + 48 * sizeof(float));
}

TEST_P(Pack, CountsWhatItWouldHoldWithoutAnyValues) {
    for (const Kind& kind : all_kinds()) {
        const TestWeight weight(kind, 43, 301, 1);
        std::vector<WeightPart> parts{{weight.slice(0, 43, 0, 151), 0, 0},
                                      {weight.slice(0, 43, 151, 150), 0, 1}};
        const std::size_t held = pack(family(), parts, kind)->bytes;
        for (WeightPart& part : parts) part.matrix.values = nullptr;
        const Packed sizes = packed_sizes(family(), {parts, kind.products, kind.dequantize});
        EXPECT_EQ(sizes->bytes, held) << kind.name;
        EXPECT_EQ(sizes->rows, 43);
        EXPECT_EQ(sizes->cols, 301);
        EXPECT_EQ(sizes->segments, 2);
    }
}

SLUICE_EVERY_KERNEL(Pack, PackArgs);

// Memory is planned on other machines than those that will run. Four rows of three stages each, scales of
// three blocks for a tile's rows, sixteen of which share one, and a mark for each: to a multiple of 256
// bytes.
TEST(CudaSizes, NeedNoGpu) {
    const TestWeight weight(all_kinds()[6], 4, 300, 1);  // fp8; blocks of 128, 128, 44 columns
    const std::vector<WeightPart> parts{{weight.whole(), 0, 0}};
    const Packed sizes = packed_sizes(Family::Cuda, {parts, Products::Bf16});
    EXPECT_EQ(sizes->bytes, (4U * 3 * 128 + (3U * 128 / 16 + 128) * sizeof(float) + 255) / 256 * 256);
    EXPECT_EQ(sizes->rows, 4);
    EXPECT_EQ(sizes->cols, 300);
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
