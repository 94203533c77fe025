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

// The machine was half as fast in the second repeat, and so was the step.
TEST(BenchFigure, ComparesEachRepeatWithItsOwnFloor) {
    Figure figure;
    figure.tokens = 30;
    figure.seconds.values = {10, 20, 15};
    figure.floor.values = {8, 16, 6};
    EXPECT_EQ(figure.percent().values, (std::vector<double>{80, 80, 40}));
    EXPECT_EQ(figure.percent().median(), 80);
    EXPECT_EQ(figure.rate(), 2);
}

TEST(BenchFigure, IsBoundByWhatMostOfItsFloorsAre) {
    Figure figure;
    figure.floor.values = {8, 16};
    figure.reading = 13;
    EXPECT_STREQ(figure.bound(), "memory");
    figure.reading = 11;
    EXPECT_STREQ(figure.bound(), "compute");
}

}  // namespace
}  // namespace sluice::test
