#include "model/step_inputs.hpp"

#include "core/error.hpp"

#include <gtest/gtest.h>

#include <vector>

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
    StepInputs inputs(ops, 128);
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

// Rows of two sequences: 5 at positions 95 to 99, then 3 at 0 to 2.
Step two_sequences() {
    Step step;
    step.tokens = {10, 11, 12, 13, 14, 15, 16, 17};
    step.positions = {95, 96, 97, 98, 99, 0, 1, 2};
    step.pages = {4, 5, 6};
    step.masked = {7, 96, 99, 1};
    step.sequences = {{0, 5, 100, 0, 0, 3}, {5, 3, 3, 2, 3, 1}};
    return step;
}

// First row, rows, context, first page, and the number and the first of masked positions.
using Rows = std::vector<std::vector<std::int64_t>>;

Rows rows_of(const AttentionRows& attention) {
    Rows rows;
    for (const kernels::SequenceRows& part : attention.sequences)
        rows.push_back({part.first_row, part.rows, part.context, *part.pages,
                        static_cast<std::int64_t>(part.masked.size()), part.masked.front()});
    return rows;
}

TEST(StepInputs, AreCutInBlocksOfRows) {
    const Ops ops(kernels::Family::Cpu, 1);
    StepInputs inputs(ops, 3);
    const Step step = two_sequences();
    inputs.take(step);
    ASSERT_EQ(inputs.blocks.size(), 3U);
    EXPECT_EQ(rows_of(inputs.blocks[0].attention), Rows({{0, 3, 98, 4, 3, 7}}));
    EXPECT_EQ(rows_of(inputs.blocks[1].attention), Rows({{0, 2, 100, 4, 3, 7}, {2, 1, 1, 6, 1, 1}}));
    EXPECT_EQ(rows_of(inputs.blocks[2].attention), Rows({{0, 2, 3, 6, 1, 1}}));
    EXPECT_EQ(rows_of(inputs.attention), Rows({{0, 5, 100, 4, 3, 7}, {5, 3, 3, 6, 1, 1}}));
    for (std::size_t b = 0; b < 3; ++b) {
        const RowBlock& block = inputs.blocks[b];
        EXPECT_EQ(block.first, 3 * static_cast<std::int64_t>(b));
        EXPECT_EQ(block.count, b < 2 ? 3 : 2);
        EXPECT_EQ(block.positions.data, step.positions.data() + 3 * b);
        EXPECT_EQ(block.positions.shape, Shape({block.count}));
    }
    EXPECT_EQ(inputs.blocks[2].attention.most_context, 3);
    inputs.plan_for_context(99);
    EXPECT_EQ(inputs.blocks[1].attention.most_context, 100);
    EXPECT_EQ(inputs.blocks[2].attention.most_context, 99);
}

TEST(StepInputs, AreOneBlockWhereTheyFit) {
    const Ops ops(kernels::Family::Cpu, 1);
    StepInputs inputs(ops, 8);
    const Step step = two_sequences();
    inputs.take(step);
    ASSERT_EQ(inputs.blocks.size(), 1U);
    EXPECT_EQ(inputs.blocks[0].count, 8);
    EXPECT_EQ(inputs.blocks[0].attention.sequences.data(), inputs.attention.sequences.data());
}

TEST(StepInputs, MaskedPositionsAscendFromZeroUp) {
    const Ops ops(kernels::Family::Cpu, 1);
    StepInputs inputs(ops, 128);
    EXPECT_THROW(inputs.take(step_with_masked({1, 0})), Error);
    EXPECT_THROW(inputs.take(step_with_masked({-1})), Error);
}

}  // namespace
}  // namespace sluice::test
