// Whole programs against what other code computed, on the processor and on a GPU, by one rank and by two that
// share it. Where there is no GPU, its cases show as skipped.
#include "support/goldens.hpp"
#include "backend/devices.hpp"
#include "jobs/job.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>

namespace sluice::test {
namespace {

struct Model {
    const char* name;
    const char* checkpoint;
    const char* golden;
    const char* suffix = "";
};

struct Where {
    const char* device;
    int ranks;  // 0: without a launcher
};

std::string jsonl(const std::vector<OrderedJson>& lines) {
    std::string text;
    for (const OrderedJson& line : lines) text += line.dump() + "\n";
    return text;
}

std::vector<OrderedJson> requests_of(const std::vector<GoldenPrompt>& prompts) {
    std::vector<OrderedJson> lines;
    for (const GoldenPrompt& prompt : prompts) lines.push_back({{"tokens", prompt.ids.values}});
    return lines;
}

// How many tokens are the golden's, from the first one on. Rounding may turn a choice whose margin is small,
// and all that follows is then of another text. A margin is the difference of two logits, which rounding
// moves by no more than this (fast_backend_test.cpp).
std::size_t expect_golden(const OrderedJson& record, const GoldenPrompt& prompt, std::size_t count) {
    constexpr float kMargin = 0.1F;
    const auto tokens = record["tokens"].get<std::vector<std::int32_t>>();
    const auto& golden = prompt.greedy_ids.values;
    EXPECT_EQ(tokens.size(), count) << prompt.name;
    std::size_t same = 0;
    const std::size_t compared = std::min(tokens.size(), golden.size());
    while (same < compared && tokens[same] == golden[same]) ++same;
    if (same < compared) {
        EXPECT_LT(prompt.greedy_margin.values[same], kMargin) << prompt.name << ", token " << same;
    }
    return same;
}

class GoldenJobs : public JobTest, public testing::WithParamInterface<std::tuple<Model, Where>> {
protected:
    void SetUp() override {
        if (where().ranks > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        const std::string missing = where().device == std::string("cuda") ? cuda_obstacle() : "";
        if (!missing.empty()) GTEST_SKIP() << missing;
    }
    static const Model& model() { return std::get<0>(GetParam()); }
    static const Where& where() { return std::get<1>(GetParam()); }
    static Goldens goldens() { return read_goldens(model().golden, model().suffix); }

    // One record a line, in the order of the lines.
    std::vector<OrderedJson> answers(const std::vector<OrderedJson>& lines, const Words& more) const {
        folder_.put("in.jsonl", jsonl(lines));
        return records(files(model().checkpoint, "in.jsonl", "out.jsonl") +
                           Words{"--overwrite", "--ordered", "--device", where().device} + more,
                       "out.jsonl", where().ranks);
    }
};

class GoldenScores : public GoldenJobs {};

TEST_P(GoldenJobs, GreedyTokens) {
    const auto prompts = goldens().prompts;
    const auto all = answers(requests_of(prompts), {"--temperature", "0", "--max-new-tokens", "48",
                                                    "--ignore-eos", "--return-tokens"});
    ASSERT_EQ(all.size(), prompts.size());
    std::size_t same = 0;
    for (std::size_t p = 0; p < prompts.size(); ++p) same += expect_golden(all[p], prompts[p], 48);
    RecordProperty("same", std::to_string(same));
    EXPECT_GE(same, 200U) << "of 384";
}

TEST_P(GoldenScores, HeldOutTextIsAsLikely) {
    program_ = SLUICE_SCORE;
    input_ = "--input";
    const GoldenText text = goldens().perplexity;
    const std::int64_t length = text.ids.shape[1];
    std::vector<OrderedJson> lines;
    double golden = 0;
    for (std::int64_t row = 0; row < text.ids.shape[0]; ++row) {
        const std::int32_t* ids = text.ids.row(row);
        lines.push_back({{"tokens", std::vector<std::int32_t>(ids, ids + length)}});
        for (std::int64_t t = 0; t + 1 < length; ++t) golden -= text.token_nll.row(row)[t];
    }
    double sum = 0;
    for (const OrderedJson& record : answers(lines, {})) sum += record["sum_logprob"].get<double>();
    const auto tokens = static_cast<double>(text.token_nll.values.size());
    EXPECT_NEAR(std::exp((sum - golden) / tokens), 1, 0.005);
}

const Model kV3{"v3", "v3", "deepseek-v3-tiny"};
const Model kV2{"v2", "v2", "deepseek-v2-tiny"};
const Model kLlama{"llama", "llama", "llama-tiny"};
const Model kGrok{"grok", "grok", "grok-tiny", "_f32dq"};
const Where kPlaces[] = {{"cpu", 0}, {"cpu", 2}, {"cuda", 0}, {"cuda", 2}};

std::string name_of_case(const testing::TestParamInfo<std::tuple<Model, Where>>& info) {
    const auto& [model, where] = info.param;
    const std::string launched = where.ranks == 0 ? "" : "_mpirun_" + std::to_string(where.ranks);
    return std::string(model.name) + "_" + where.device + launched;
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenJobs,
                         testing::Combine(testing::Values(kV3, kV2, kLlama, kGrok),
                                          testing::ValuesIn(kPlaces)),
                         name_of_case);
// Of which a text was recorded.
INSTANTIATE_TEST_SUITE_P(Models, GoldenScores,
                         testing::Combine(testing::Values(kV3, kV2, kLlama), testing::ValuesIn(kPlaces)),
                         name_of_case);

class EmulatedGpu : public JobTest, public testing::WithParamInterface<int> {};

// The program itself, on a GPU whose memory the host cannot touch: the beginnings of short texts, for an
// emulation is slow.
TEST_P(EmulatedGpu, GivesTheFirstGreedyTokens) {
    if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    program_ = SLUICE_GENERATE_EMULATED;
    auto prompts = read_goldens("deepseek-v3-tiny").prompts;
    std::erase_if(prompts, [](const GoldenPrompt& prompt) { return prompt.ids.values.size() > 40; });
    ASSERT_GE(prompts.size(), 2U);
    folder_.put("in.jsonl", jsonl(requests_of(prompts)));
    const auto all =
        records(files("v3", "in.jsonl", "out.jsonl") +
                    Words{"--ordered", "--device", "cuda", "--kv-memory", "4MiB", "--max-batch-tokens", "64",
                          "--temperature", "0", "--max-new-tokens", "6", "--ignore-eos", "--return-tokens"},
                "out.jsonl", GetParam());
    ASSERT_EQ(all.size(), prompts.size());
    std::size_t same = 0;
    for (std::size_t p = 0; p < prompts.size(); ++p) same += expect_golden(all[p], prompts[p], 6);
    EXPECT_GE(same, 3 * prompts.size());
}

INSTANTIATE_TEST_SUITE_P(Ranks, EmulatedGpu, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

class SharedGpu : public JobTest {};

// Sampled, with log-probabilities: to the last bit.
TEST_F(SharedGpu, GivesTwoRanksTheAnswersOfOne) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    if (const std::string missing = cuda_obstacle(); !missing.empty()) GTEST_SKIP() << missing;
    folder_.put("in.jsonl", mixed_prompts(24));
    const auto answers = [&](int ranks, const Words& more) {
        const Ending ending = run(files("v3", "in.jsonl", "out.jsonl") +
                                      Words{"--overwrite", "--ordered", "--max-new-tokens", "12",
                                            "--logprobs", "3", "--device", "cuda"} +
                                      more,
                                  ranks);
        EXPECT_EQ(ending.code, 0) << ending.err;
        return content("out.jsonl");
    };
    const std::string one = answers(0, {});
    EXPECT_EQ(lines_of(one).size(), 24U);
    EXPECT_EQ(answers(2, {}), one);
    EXPECT_EQ(answers(0, {"--max-batch", "3", "--max-batch-tokens", "16"}), one);
}

}  // namespace
}  // namespace sluice::test
