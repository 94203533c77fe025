// What the processor's products keep of a call, as memory plans count it: nothing of it shows in their
// results.
#include "kernels/workspace.hpp"
#include "kernels/product_fixture.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::test {
namespace {

std::size_t kept(const Packed& weight, std::int64_t rows, Outputs outputs = Outputs::Plain,
                 Family family = Family::Cpu) {
    ProductJob job;
    job.weight = weight.get();
    job.rows = rows;
    return most_workspace(family, ProductArgs{{&job, 1}, outputs});
}

// An odd number of cache lines each.
TEST(CpuWorkspace, HoldsRowsAsFloat32) {
    const Packed seven_lines = pack_whole(Family::Cpu, TestWeight(all_kinds()[0], 64, 100, 1));
    EXPECT_EQ(kept(seven_lines, 1), 7U * 64);
    EXPECT_EQ(kept(seven_lines, 300), 300U * 7 * 64);
    EXPECT_EQ(kept(pack_whole(Family::Cpu, TestWeight(all_kinds()[0], 64, 128, 1)), 2), 2U * 9 * 64);
    EXPECT_EQ(kept(seven_lines, 300, Outputs::Gated), 300U * 7 * 64) << "gated within tiles";
    EXPECT_EQ(kept(seven_lines, 300, Outputs::Plain, Family::Reference), 0U);
}

TEST(CpuWorkspace, HoldsScalesOfRowsAndOutputsThatWaitForTheirGate) {
    const TestWeight codes({"fp8", DType::F8E4M3, 128, 128, 0, 0, false, Products::Fp8, false, false}, 40,
                           256, 1);
    const Packed weight = pack_whole(Family::Cpu, codes);
    EXPECT_EQ(kept(weight, 20), 20U * 17 * 64 + 192) << "two scales a row, in whole lines";
    EXPECT_EQ(kept(weight, 20, Outputs::Gated), 20U * 17 * 64 + 192 + 20U * 40 * 4);
}

// However the rows are spread.
TEST(CpuWorkspace, HoldsTheRowsOfAllExperts) {
    const TestWeight codes({"fp8", DType::F8E4M3, 128, 128, 0, 0, false, Products::Fp8, false, false}, 40,
                           256, 1);
    const std::vector<Packed> experts(3, pack_whole(Family::Cpu, codes));
    ExpertProductArgs args;
    args.experts = experts;
    args.most_rows = 40;
    args.outputs = Outputs::Gated;
    const std::size_t planned = most_workspace(Family::Cpu, args);
    for (const std::vector<std::int64_t>& spread :
         {std::vector<std::int64_t>{40, 0, 0}, {13, 13, 14}, {1, 1, 38}}) {
        std::vector<ProductJob> jobs(3);
        for (std::size_t e = 0; e < 3; ++e) {
            jobs[e].weight = experts[e].get();
            jobs[e].rows = spread[e];
        }
        EXPECT_LE(most_workspace(Family::Cpu, ProductArgs{jobs, Outputs::Gated}), planned);
    }
    EXPECT_LE(planned, kept(experts[0], 40, Outputs::Gated) + 3 * 2 * 64);
}

}  // namespace
}  // namespace sluice::test
