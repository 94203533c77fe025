#include "model/step_inputs.hpp"

#include "core/error.hpp"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

Step step_with_masked(std::vector<std::int32_t> masked) {
    Step step;
    step.tokens = {7};
    step.positions = {2};
    step.slots = {2};
    step.pages = {0};
    step.masked = std::move(masked);
    step.sequences = {{0, 1, 3, 0, 0, static_cast<std::int32_t>(step.masked.size())}};
    return step;
}

TEST(StepInputs, LendTheHostsArraysAsTheyStand) {
    const Ops ops(kernels::Family::Cpu, 1);
    StepInputs inputs(ops);
    const Step step = step_with_masked({0, 1});
    inputs.take(step);
    EXPECT_EQ(inputs.tokens.data, step.tokens.data());
    ASSERT_EQ(inputs.attention.sequences.size(), 1U);
    const kernels::SequenceRows& sequence = inputs.attention.sequences.front();
    EXPECT_EQ(sequence.pages, step.pages.data());
    EXPECT_EQ(sequence.masked.data(), step.masked.data());
    EXPECT_EQ(sequence.masked.size(), 2U);
    EXPECT_EQ(inputs.attention.most_context, 3);
}

TEST(StepInputs, MaskedPositionsAscendFromZeroUp) {
    const Ops ops(kernels::Family::Cpu, 1);
    StepInputs inputs(ops);
    EXPECT_THROW(inputs.take(step_with_masked({1, 0})), Error);
    EXPECT_THROW(inputs.take(step_with_masked({-1})), Error);
}

}  // namespace
}  // namespace sluice::test
