// The tuner on made-up machines: after a few hundred steps it must do nearly as well as the best fixed size.
#include "engine/batch_tuner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

namespace sluice::test {
namespace {

using Seconds = std::function<double(int rows)>;

constexpr int kMost = 1024;

double best_rate(const Seconds& seconds) {
    double best = 0;
    for (int rows = 1; rows <= kMost; ++rows) best = std::max(best, rows / seconds(rows));
    return best;
}

// Rows a second of the size it settles on, as a share of the best.
double share_of_best(const Seconds& truth, const Seconds& measured, int steps = 300) {
    BatchTuner tuner(kMost);
    for (int step = 0; step < steps; ++step)
        tuner.ran({tuner.rows(), 100 * tuner.rows(), measured(tuner.rows())});
    return tuner.rows() / truth(tuner.rows()) / best_rate(truth);
}

double weights_are_read_once(int rows) { return 0.1 + 1e-4 * rows; }
double computing_takes_longer(int rows) { return std::max(0.02, 1e-3 * rows); }
// Up to `rows` experts are read; then each row still has to be computed.
double experts(int rows) { return 1e-2 + 2e-3 * std::min(rows, 64) + 2e-4 * rows; }
// Buffers of more than 256 rows no longer fit the cache.
double caches_overflow(int rows) { return 0.02 + 1e-3 * rows + 2e-3 * std::max(0, rows - 256); }

const Seconds kMachines[] = {weights_are_read_once, computing_takes_longer, experts, caches_overflow};

TEST(BatchTuner, ComesCloseToTheBestSize) {
    for (const Seconds& machine : kMachines) EXPECT_GT(share_of_best(machine, machine), 0.9);
}

TEST(BatchTuner, StepsThatWereHeldUpDoNotCount) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> noise(0.99, 1.01);
    for (const Seconds& machine : kMachines) {
        for (int run = 0; run < 20; ++run) {
            const Seconds busy = [&](int rows) {
                return machine(rows) * noise(random) * (random() % 20 == 0 ? 10 : 1);
            };
            EXPECT_GT(share_of_best(machine, busy), 0.9);
        }
    }
}

TEST(BatchTuner, AmongEquallyGoodSizesTheSmallestIsTaken) {
    BatchTuner tuner(kMost);
    for (int step = 0; step < 300; ++step) tuner.ran({tuner.rows(), 0, computing_takes_longer(tuner.rows())});
    EXPECT_EQ(tuner.rows(), 256) << "where it began";
    for (int step = 0; step < 20; ++step) tuner.ran({64, 0, computing_takes_longer(64)});
    EXPECT_EQ(tuner.rows(), 64) << "which turned out as good";
}

// Contexts grow from step to step, and with them what a row costs: larger sizes, tried later, are no worse.
TEST(BatchTuner, GrowingContextsAreNoReasonForSmallSteps) {
    BatchTuner tuner(kMost);
    for (int step = 0; step < 300; ++step) {
        const int rows = tuner.rows();
        const std::int64_t contexts = static_cast<std::int64_t>(rows) * (100 + 50 * step);
        tuner.ran({rows, contexts, weights_are_read_once(rows) + 1e-7 * static_cast<double>(contexts)});
    }
    EXPECT_EQ(tuner.rows(), kMost);
}

TEST(BatchTuner, ASizeThatDisappointedIsTriedAgain) {
    BatchTuner tuner(kMost);
    const auto run = [&](int steps, double slowness) {
        for (int step = 0; step < steps; ++step) {
            const int rows = tuner.rows();
            tuner.ran({rows, 0, weights_are_read_once(rows) * (rows > 256 ? slowness : 1)});
        }
    };
    run(300, 5);
    EXPECT_EQ(tuner.rows(), 256);
    run(2000, 1);
    EXPECT_EQ(tuner.rows(), kMost);
}

// Half of the time of a row is its logits, which rows of prompts do not take: small steps of prompts among
// those that decode are no reason for small steps.
TEST(BatchTuner, StepsOfPromptsAreNotComparedWithStepsThatDecode) {
    BatchTuner tuner(kMost);
    const auto prompts = [](int rows) { return 0.1 + 2e-3 * rows; };
    for (int step = 0; step < 300; ++step) {
        const int rows = tuner.rows();
        tuner.ran({rows, 0, prompts(rows) + 2e-3 * rows, rows});
        if (step % 3 == 0) tuner.ran({64, 0, prompts(64), 2});
    }
    EXPECT_EQ(tuner.rows(), 512) << "twice as many gain 2 %";
    for (int step = 0; step < 300; ++step) tuner.ran({tuner.rows(), 0, prompts(tuner.rows()), 0});
    EXPECT_EQ(tuner.rows(), kMost) << "where prompts alone run, by what they cost: 5 %";
}

TEST(BatchTuner, StaysWithinTheMostRows) {
    for (const int most : {1, 5, 33, 100, 300}) {
        BatchTuner tuner(most);
        for (int step = 0; step < 100; ++step) {
            ASSERT_GE(tuner.rows(), 1);
            ASSERT_LE(tuner.rows(), most);
            tuner.ran({tuner.rows(), 0, weights_are_read_once(tuner.rows())});
        }
        EXPECT_EQ(tuner.rows(), most);
    }
}

}  // namespace
}  // namespace sluice::test
