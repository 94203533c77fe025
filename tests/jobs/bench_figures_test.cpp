// How sluice-bench tells where time went.
#include "jobs/bench_figures.hpp"
#include "model/rank_sums.hpp"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

// The mean of two runs: 10 s, in 3 s of which the host communicated, in 2 s the GPUs.
TEST(BenchBreakdown, CountsWhatLinkedGpusMoveAsCommunication) {
    OpClock clock;
    clock.add("product", 3);
    clock.add("product", 1);
    clock.add(kLinksName, 1.5);
    clock.add(kLinksName, 0.5);
    const Breakdown parts = breakdown_of(clock, 10, 3, 2);
    EXPECT_EQ(parts.communication, 2.5);
    EXPECT_EQ(parts.rest, 0.5);
    ASSERT_EQ(parts.operations.size(), 1U);
    EXPECT_EQ(parts.operations.at("product").seconds, 2);
    EXPECT_EQ(parts.operations.at("product").calls, 1);
}

}  // namespace
}  // namespace sluice::test
