#include "model/step_ladder.hpp"

#include "core/error.hpp"
#include "support/small_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sluice::test {
namespace {

// A token for each of some sequences, which have pages of their own.
Step decode_step(const std::vector<std::int32_t>& contexts, std::int32_t token) {
    Step step;
    for (const std::int32_t context : contexts) {
        const auto row = static_cast<std::int32_t>(step.tokens.size());
        const std::int32_t place = context - 1, pages = place / kernels::kPageTokens + 1;
        step.tokens.push_back(token + row);
        step.positions.push_back(place);
        step.slots.push_back((row * 3 + pages - 1) * kernels::kPageTokens + place % kernels::kPageTokens);
        step.sequences.push_back({row, 1, context, static_cast<std::int32_t>(step.pages.size())});
        for (std::int32_t page = 0; page < pages; ++page) step.pages.push_back(row * 3 + page);
        step.logit_rows.push_back(row);
    }
    return step;
}

TEST(StepLadder, RowsAreFew) {
    const std::vector<std::pair<int, int>> rungs = {{1, 1},     {2, 2},     {3, 4},    {5, 8},   {8, 8},
                                                    {9, 16},    {17, 24},   {64, 64},  {65, 80}, {128, 128},
                                                    {129, 160}, {256, 256}, {257, 320}};
    for (const auto& [rows, rung] : rungs) EXPECT_EQ(rung_of_rows(rows, 1024), rung) << rows;
    EXPECT_EQ(rung_of_rows(65, 70), 70) << "a decoder takes no more";
}

TEST(StepLadder, ContextsAreFew) {
    const std::vector<std::pair<int, int>> rungs = {{1, 512},     {512, 512},   {513, 1024},
                                                    {1025, 1536}, {2048, 2048}, {2049, 3072},
                                                    {4096, 4096}, {4097, 6144}, {100'000, 131'072}};
    for (const auto& [context, rung] : rungs) EXPECT_EQ(rung_of_context(context, 1 << 20), rung) << context;
    EXPECT_EQ(rung_of_context(2500, 2600), 2600);
}

TEST(StepLadder, KnowsStepsThatOnlyDecode) {
    Step step = decode_step({3, 70}, 5);
    EXPECT_TRUE(only_decodes(step));
    EXPECT_FALSE(only_decodes({}));
    step.logit_rows.pop_back();
    EXPECT_FALSE(only_decodes(step)) << "its logits are not wanted";
    step = decode_step({3, 70}, 5);
    step.sequences.pop_back();
    step.sequences.back().rows = 2;
    EXPECT_FALSE(only_decodes(step)) << "a prompt";
    EXPECT_THROW(pad(step, 4), Error);
}

TEST(StepLadder, PaddingRepeatsTheShortestContexts) {
    Step step = decode_step({70, 3, 9}, 5);
    step.sequences[1].first_masked = 1;
    step.sequences[1].masked = 2;
    pad(step, 7);
    EXPECT_THAT(step.tokens, testing::ElementsAre(5, 6, 7, 6, 7, 5, 6));
    EXPECT_THAT(step.positions, testing::ElementsAre(69, 2, 8, 2, 8, 69, 2));
    EXPECT_EQ(step.slots[4], step.slots[2]);
    EXPECT_THAT(step.logit_rows, testing::ElementsAre(0, 1, 2, 3, 4, 5, 6));
    ASSERT_EQ(step.sequences.size(), 7U);
    const StepSequence& last = step.sequences.back();
    EXPECT_EQ(last.first_row, 6);
    EXPECT_EQ(last.rows, 1);
    EXPECT_EQ(last.context, 3);
    EXPECT_EQ(last.first_page, 2);
    EXPECT_EQ(last.first_masked, 1);
    EXPECT_EQ(last.masked, 2);
    EXPECT_EQ(step.pages.size(), 4U);
}

// What it adds changes neither logits nor cache: the steps that follow see both.
TEST(StepLadder, PaddingChangesNoBit) {
    const auto ranks = make_self();
    SmallModel plain("v3", {.rows = 16, .logit_rows = 16}, *ranks);
    SmallModel padded("v3", {.rows = 16, .logit_rows = 16}, *ranks);
    for (std::int32_t i = 0; i < 3; ++i) {
        Step step = decode_step({1 + i, 64 + i, 30 + i}, 7 * i);
        const View expected = plain.decoder().run(step, plain.cache());
        pad(step, 8);
        const View logits = padded.decoder().run(step, padded.cache());
        ASSERT_EQ(logits.shape[0], 8);
        const auto count = static_cast<std::size_t>(expected.shape.elements());
        EXPECT_THAT(std::span(logits.as<float>(), count),
                    testing::ElementsAreArray(expected.as<float>(), count));
    }
}

}  // namespace
}  // namespace sluice::test
