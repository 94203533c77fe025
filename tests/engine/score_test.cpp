// Scores of texts through the whole engine: against recorded truth, against what generating says of the same
// tokens, and which texts cannot be scored.
#include "core/json.hpp"
#include "engine/generation.hpp"
#include "support/goldens.hpp"
#include "text/request_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace sluice::test {
namespace {

constexpr int kLongest = 2048;  // positions of the small models

std::vector<Request> golden_texts(const Goldens& goldens) {
    std::vector<Request> texts;
    for (const GoldenPrompt& prompt : goldens.prompts)
        texts.push_back(token_request(prompt.name, prompt.ids.values, {}));
    const Recorded<std::int32_t>& ids = goldens.perplexity.ids;
    for (std::int64_t row = 0; row < ids.shape[0]; ++row) {
        texts.push_back(
            token_request("row-" + std::to_string(row), {ids.row(row), ids.row(row) + ids.shape[1]}, {}));
    }
    return texts;
}

const Score& score_of(const RunResult& result, const std::string& id) {
    return result.scores.at(to_json_string(id));
}

struct Case {
    const char* checkpoint;
    const char* golden;
};

class GoldenScores : public testing::TestWithParam<Case> {
protected:
    GoldenScores() : goldens_(read_goldens(GetParam().golden)) {
        settings_.checkpoint = GetParam().checkpoint;
        settings_.threads = 2;
        settings_.policy = {8, 256, 100, true};
    }
    double golden_perplexity() const {
        double nll = 0;
        for (const float token : goldens_.perplexity.token_nll.values) nll += token;
        return std::exp(nll / static_cast<double>(goldens_.perplexity.token_nll.values.size()));
    }
    ScoreTotals totals_of_rows(const RunResult& result) const {
        ScoreTotals totals;
        for (std::int64_t row = 0; row < goldens_.perplexity.ids.shape[0]; ++row)
            totals += score_of(result, "row-" + std::to_string(row)).totals();
        return totals;
    }

    Goldens goldens_;
    RunSettings settings_;
};

// 3e-4: see tests/model/golden_test.cpp.
void expect_near(const Score& score, const float* nll, std::int64_t count) {
    EXPECT_EQ(score.first, 1U);
    ASSERT_EQ(static_cast<std::int64_t>(score.logprobs.size()), count);
    for (std::int64_t t = 0; t < count; ++t)
        ASSERT_NEAR(-score.logprobs[static_cast<std::size_t>(t)], nll[t], 3e-4) << "token " << t + 1;
}

TEST_P(GoldenScores, OfTheReferenceAreTheRecordedOnes) {
    settings_.family = kernels::Family::Reference;
    settings_.kv_dtype = DType::F32;
    const RunResult result = run_scores(settings_, golden_texts(goldens_));
    for (const GoldenPrompt& prompt : goldens_.prompts) {
        SCOPED_TRACE(prompt.name);
        expect_near(score_of(result, prompt.name), prompt.token_nll.values.data(), prompt.token_nll.shape[0]);
    }
    const GoldenText& rows = goldens_.perplexity;
    for (std::int64_t row = 0; row < rows.ids.shape[0]; ++row) {
        SCOPED_TRACE(row);
        expect_near(score_of(result, "row-" + std::to_string(row)), rows.token_nll.row(row),
                    rows.token_nll.shape[1]);
    }
    EXPECT_NEAR(totals_of_rows(result).perplexity() / golden_perplexity(), 1, 1e-5);
}

// The bound on the perplexity is that of tests/model/fast_backend_test.cpp.
TEST_P(GoldenScores, OfTheFastPathHaveTheirPerplexity) {
    const RunResult result = run_scores(settings_, golden_texts(goldens_));
    EXPECT_EQ(totals_of_rows(result).tokens,
              static_cast<std::int64_t>(goldens_.perplexity.token_nll.values.size()));
    EXPECT_NEAR(totals_of_rows(result).perplexity() / golden_perplexity(), 1, 0.005);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenScores,
                         testing::Values(Case{"v3", "deepseek-v3-tiny"}, Case{"v2", "deepseek-v2-tiny"}),
                         [](const auto& param) { return std::string(param.param.checkpoint); });

Sampling sampled(int tokens, int logprobs) {
    Sampling sampling;
    sampling.max_new_tokens = tokens;
    sampling.logprobs = logprobs;
    sampling.ignore_eos = true;
    return sampling;
}

std::vector<Token> counting(Token first, int count) {
    std::vector<Token> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(3 + (first + i * 37) % 1900);
    return tokens;
}

// Decoding a token at a time, with every kind of sampling, or reading the text at once: the same bits.
TEST(Scores, AreTheLogprobsThatGeneratingGave) {
    std::vector<Request> prompts;
    for (int i = 0; i < 6; ++i) {
        Sampling sampling = sampled(20 + 17 * i, 1 + 3 * i);
        sampling.temperature = i == 0 ? 0.0F : 0.5F + 0.3F * static_cast<float>(i);
        sampling.top_p = i % 3 == 1 ? 0.9F : 1.0F;
        sampling.repetition_penalty = i % 3 == 2 ? 1.3F : 1.0F;
        prompts.push_back(token_request("r" + std::to_string(i), counting(11 * i, 1 + 29 * i), sampling));
    }
    RunSettings settings;
    settings.ranks = 2;
    const RunResult generated = run_requests(settings, prompts);
    std::vector<Request> texts;
    for (Request text : prompts) {
        auto& tokens = std::get<std::vector<Token>>(text.input);
        const std::vector<Token>& more = generated.answers.at(text.id).tokens;
        tokens.insert(tokens.end(), more.begin(), more.end());
        texts.push_back(std::move(text));
    }
    settings.ranks = 1;
    settings.policy = {4, 100, 33, true};
    const RunResult scored = run_scores(settings, texts);
    for (const Request& prompt : prompts) {
        SCOPED_TRACE(prompt.id);
        const Answer& answer = generated.answers.at(prompt.id);
        const Score& score = score_of(scored, prompt.id);
        const std::size_t given = std::get<std::vector<Token>>(prompt.input).size();
        const Json shown = Json::parse(answer.completion.logprobs_json);
        const Json tops = Json::parse(score.top_logprobs_json);
        ASSERT_EQ(answer.logprobs.size(), static_cast<std::size_t>(prompt.sampling.max_new_tokens));
        ASSERT_EQ(shown.size(), answer.logprobs.size());
        ASSERT_EQ(tops.size(), score.tokens.size());
        EXPECT_TRUE(tops[0].is_null());
        for (std::size_t t = 0; t < shown.size(); ++t) {
            EXPECT_EQ(shown[t]["id"], score.tokens[given + t]);
            EXPECT_EQ(answer.logprobs[t].chosen.logprob, score.logprobs[given - 1 + t]) << t;
            EXPECT_EQ(shown[t]["top"], tops[given + t]) << t;
            EXPECT_EQ(shown[t]["top"].size(), static_cast<std::size_t>(prompt.sampling.logprobs));
        }
    }
}

// A completion's tokens follow the prompt's, and are scored as they are in the whole text.
TEST(Scores, OfACompletionAreThoseOfTheWholeText) {
    Request split = text_request("split", "First Citizen:\n", sampled(1, 2));
    split.completion = "Before we proceed";
    RunSettings settings;
    const RunResult parts = run_scores(settings, {split});
    const Score& part = score_of(parts, "split");
    const RunResult wholes = run_scores(settings, {token_request("whole", part.tokens, sampled(1, 2))});
    const Score& whole = score_of(wholes, "whole");
    const RunResult prompts = run_scores(settings, {text_request("prompt", "First Citizen:\n", {})});
    const std::vector<Token>& prompt = score_of(prompts, "prompt").tokens;
    EXPECT_EQ(prompt.front(), 0) << "begins with BOS";
    ASSERT_EQ(part.first, prompt.size());
    ASSERT_GT(part.tokens.size(), prompt.size());
    EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), part.tokens.begin()));
    EXPECT_EQ(part.tokens, whole.tokens);
    EXPECT_EQ(part.logprobs,
              std::vector<float>(whole.logprobs.begin() + static_cast<std::ptrdiff_t>(part.first) - 1,
                                 whole.logprobs.end()));
    const Json tops = Json::parse(part.top_logprobs_json);
    const Json all = Json::parse(whole.top_logprobs_json);
    for (std::size_t t = 0; t < tops.size(); ++t) EXPECT_EQ(tops[t], t < part.first ? Json() : all[t]) << t;
}

// Many completions of one prompt: its pages are computed once.
TEST(Scores, OfCompletionsShareTheirPrompt) {
    std::vector<Request> texts;
    for (int i = 0; i < 6; ++i) {
        texts.push_back(token_request("c" + std::to_string(i), counting(1, 300), {}));
        texts.back().completion = " number " + std::to_string(i);
    }
    RunSettings settings;
    settings.policy = {1, 128, 64, true};
    EXPECT_EQ(run_scores(settings, texts).tally.shared_tokens, 5 * 256);
    for (Request& text : texts) text.completion.reset();
    EXPECT_EQ(run_scores(settings, texts).tally.shared_tokens, 0) << "all their logits are wanted";
}

TEST(Scores, TextsMayFillTheModelsLengthAndNoMore) {
    RunSettings settings;
    settings.policy = {2, 512, 512, true};
    Request most = token_request("most", counting(3, kLongest - 4), {});
    Request over = most;
    over.id = "over";
    over.id_json = "\"over\"";
    most.completion = ",,,,";
    over.completion = ",,,,,";
    const RunResult result =
        run_scores(settings, {most, over, token_request("full", counting(3, kLongest), {}),
                              token_request("long", counting(3, kLongest + 1), {})});
    EXPECT_FALSE(score_of(result, "most").error.has_value());
    EXPECT_EQ(score_of(result, "most").totals().tokens, 4);
    EXPECT_EQ(score_of(result, "full").totals().tokens, kLongest - 1);
    for (const char* id : {"over", "long"}) {
        ASSERT_TRUE(score_of(result, id).error.has_value()) << id;
        EXPECT_EQ(score_of(result, id).error->code, "too_long");
        EXPECT_THAT(score_of(result, id).error->message,
                    testing::AllOf(testing::HasSubstr("2049 tokens"), testing::HasSubstr("2048")));
        EXPECT_TRUE(score_of(result, id).tokens.empty());
    }
    EXPECT_EQ(result.tally.errors, 2);
    EXPECT_EQ(result.tally.scores.tokens, kLongest + 3);
}

}  // namespace
}  // namespace sluice::test
