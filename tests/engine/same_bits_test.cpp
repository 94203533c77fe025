// The promise of the CPU backend: a request's tokens and log-probabilities depend on the request alone. Every
// run here must give, byte for byte, the transcript of the plainest run: one rank, one thread, one request at
// a time.
#include "engine/generation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

// Mixed lengths and every kind of sampling; some share a beginning longer than a page, and some hold the
// token 0, whose keys a model may hide from attention.
std::vector<Request> mixed_requests(Token vocabulary) {
    std::string header = "KING RICHARD III:\n";
    for (int i = 0; i < 12; ++i) header += "Now is the winter of our discontent made glorious summer.\n";
    std::vector<Request> requests;
    for (int i = 0; i < 18; ++i) {
        Sampling sampling;
        sampling.max_new_tokens = 4 + 7 * (i % 5);
        sampling.temperature = i % 3 == 0 ? 0.0F : 0.7F + 0.1F * static_cast<float>(i % 4);
        sampling.seed = static_cast<std::uint64_t>(i);
        sampling.ignore_eos = i % 2 == 0;
        if (i % 6 == 1) sampling.top_k = 20;
        if (i % 6 == 2) sampling.top_p = 0.9F;
        if (i % 6 == 4) sampling.min_p = 0.05F;
        if (i % 6 == 5) sampling.repetition_penalty = 1.3F;
        if (i % 5 < 2) sampling.logprobs = i;
        const std::string id = "request-" + std::to_string(10 + i);
        if (i % 4 == 3) {
            std::vector<Token> tokens;
            for (int t = 0; t < 1 + 37 * i % 190; ++t)
                tokens.push_back(i % 8 == 3 && t % 11 == 0 ? 0 : (t * 7919 + i * 104729 + 3) % vocabulary);
            requests.push_back(token_request(id, tokens, sampling));
        } else {
            const std::string end = "\nLine " + std::to_string(i) + " of the speech, and then:\n";
            requests.push_back(text_request(id, i % 4 == 0 ? end : header + end, sampling));
        }
    }
    return requests;
}

int vocabulary_of(const std::string& checkpoint) {
    return open_sluice_checkpoint(built_checkpoint(checkpoint))->config().vocab;
}

// The plainest run: one rank, one thread, one request at a time, nothing shared.
RunSettings plain_settings(const std::string& checkpoint) {
    RunSettings settings;
    settings.checkpoint = checkpoint;
    settings.policy = {1, 512, 512, false};
    return settings;
}

// Its transcript, made once for each checkpoint.
const std::string& plain_transcript(const std::string& checkpoint, const std::vector<Request>& requests) {
    static std::map<std::string, std::string> known;
    std::string& text = known[checkpoint];
    if (text.empty()) text = transcript(run_requests(plain_settings(checkpoint), requests));
    return text;
}

class SameBits : public testing::TestWithParam<const char*> {
protected:
    SameBits() : plain_(plain_settings(GetParam())) {
        slices_ = open_sluice_checkpoint(built_checkpoint(GetParam()))->slices();
        requests_ = mixed_requests(std::min(2000, vocabulary_of(GetParam())));
        expected_ = plain_transcript(GetParam(), requests_);
    }

    void expect_same(const RunSettings& settings, const std::string& what) {
        const RunResult result = run_requests(settings, requests_);
        EXPECT_EQ(transcript(result), expected_) << what;
    }

    RunSettings plain() const { return plain_; }
    RunSettings batched() const {
        RunSettings settings = plain_;
        settings.policy = {16, 128, 64, true};
        return settings;
    }
    std::vector<Request> requests_;
    RunSettings plain_;
    int slices_ = 0;
    std::string expected_;
};

TEST_P(SameBits, ProducesText) {
    EXPECT_EQ(run_requests(plain(), requests_).answers.size(), requests_.size());
    EXPECT_NE(expected_.find("\"finish_reason\":\"length\""), std::string::npos);
    EXPECT_EQ(expected_.find("\"finish_reason\":\"error\""), std::string::npos);
}

TEST_P(SameBits, OnAnyNumberOfRanks) {
    for (const int ranks : {1, 2, 4, 8}) {
        if (ranks > slices_) continue;  // fewer heads: refused, see tests/jobs/refusals_test.cpp
        RunSettings settings = batched();
        settings.ranks = ranks;
        expect_same(settings, std::to_string(ranks) + " ranks");
    }
}

TEST_P(SameBits, InAnyBatch) {
    for (const int batch : {1, 3, 16}) {
        RunSettings settings = plain();
        settings.policy.max_sequences = batch;
        expect_same(settings, "batches of " + std::to_string(batch));
    }
}

// Every request eight times over, under other names: 144, of which 64 run at once.
TEST_P(SameBits, InABatchOfSixtyFour) {
    std::vector<Request> crowd;
    for (int copy = 0; copy < 8; ++copy) {
        for (Request request : requests_) {
            request.id += "-" + std::to_string(copy);
            crowd.push_back(std::move(request));
        }
    }
    RunSettings settings = plain();
    settings.policy = {64, 4096, 512, true};
    settings.pages = 1024;
    settings.streams = true;  // each is computed
    RunResult result = run_requests(settings, crowd);
    EXPECT_EQ(result.most_running, 64);
    for (int copy = 0; copy < 8; ++copy) {
        RunResult one;
        for (const Request& request : requests_) {
            Answer& answer = one.answers[request.id] =
                result.answers.at(request.id + "-" + std::to_string(copy));
            answer.completion.id_json = request.id_json;
        }
        EXPECT_EQ(transcript(one), expected_) << "copy " << copy;
    }
}

TEST_P(SameBits, WithAnyPrefillChunk) {
    for (const int chunk : {1, 7, 64, 512}) {
        RunSettings settings = plain();
        settings.policy = {4, 512, chunk, false};
        expect_same(settings, "chunks of " + std::to_string(chunk));
    }
}

TEST_P(SameBits, OnAnyNumberOfThreads) {
    for (const int threads : {2, 3}) {
        RunSettings settings = batched();
        settings.threads = threads;
        expect_same(settings, std::to_string(threads) + " threads");
    }
}

TEST_P(SameBits, WhenSequencesArePreempted) {
    RunSettings settings = batched();
    settings.pages = 9;
    settings.policy.share_prefixes = false;
    const RunResult result = run_requests(settings, requests_);
    EXPECT_GT(result.tally.preemptions, 0) << "memory was not small enough to tell anything";
    EXPECT_EQ(transcript(result), expected_);
}

TEST_P(SameBits, WithPrefixesSharedOrNot) {
    const RunResult shared = run_requests(batched(), requests_);
    EXPECT_GT(shared.tally.shared_tokens, 0) << "nothing was shared";
    EXPECT_EQ(transcript(shared), expected_);
    RunSettings settings = batched();
    settings.policy.share_prefixes = false;
    expect_same(settings, "no sharing");
}

// As where the sizes of steps follow from the time that they take.
TEST_P(SameBits, WithLimitsThatChangeFromStepToStep) {
    RunSettings settings = batched();
    int steps = 0;
    settings.limits = [&](const StepCost& step) {
        EXPECT_GT(step.rows, 0);
        EXPECT_GE(step.contexts, step.rows);
        EXPECT_GT(step.seconds, 0);
        ++steps;
        return std::pair(1 + 7 * steps % 16, 1 + 37 * steps % 128);
    };
    expect_same(settings, "changing limits");
    EXPECT_GT(steps, 0);
}

TEST_P(SameBits, WithEverythingAtOnce) {
    RunSettings settings = batched();
    settings.ranks = 2;
    settings.threads = 2;
    settings.pages = 8;
    settings.policy = {8, 40, 11, true};
    const RunResult result = run_requests(settings, requests_);
    EXPECT_GT(result.tally.preemptions, 0);
    EXPECT_GT(result.tally.shared_tokens, 0);
    EXPECT_EQ(transcript(result), expected_) << "two ranks of two threads, short of memory";
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, SameBits,
                         testing::Values("v3", "v3-bf16", "v2", "wide", "llama", "grok", "grok-bf16",
                                         "grok-hf", "mixtral", "mixtral-fp8", "llama-biased", "grok-wide"),
                         [](const auto& param) {
                             std::string name = param.param;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

// The same for scores of texts: whole ones, and completions after prompts, some of them shared.
std::vector<Request> mixed_texts(Token vocabulary) {
    std::vector<Request> texts = mixed_requests(vocabulary);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (i % 3 == 0) texts[i].completion = " And so, my lord, the end of number " + std::to_string(i);
    }
    texts.push_back(token_request("request-99", {5}, {}));  // nothing to score
    return texts;
}

class SameBitsOfScores : public testing::TestWithParam<const char*> {
protected:
    SameBitsOfScores() : texts_(mixed_texts(std::min(2000, vocabulary_of(GetParam())))) {
        static std::map<std::string, std::string> known;
        std::string& text = known[GetParam()];
        if (text.empty()) text = transcript(run_scores(plain_settings(GetParam()), texts_));
        expected_ = text;
    }

    RunResult expect_same(int ranks, int threads, const BatchPolicy& policy, int pages = 256) {
        RunSettings settings = plain_settings(GetParam());
        settings.ranks = ranks;
        settings.threads = threads;
        settings.policy = policy;
        settings.pages = pages;
        const RunResult result = run_scores(settings, texts_);
        EXPECT_EQ(transcript(result), expected_) << ranks << " ranks of " << threads << " threads";
        return result;
    }

    std::vector<Request> texts_;
    int slices_ = open_sluice_checkpoint(built_checkpoint(GetParam()))->slices();
    std::string expected_;
};

TEST_P(SameBitsOfScores, ScoresEveryText) {
    const RunResult result = run_scores(plain_settings(GetParam()), texts_);
    EXPECT_EQ(result.scores.size(), texts_.size());
    EXPECT_EQ(result.tally.errors, 0);
    EXPECT_NE(expected_.find("\"top_logprobs\""), std::string::npos);
}

TEST_P(SameBitsOfScores, OnAnyNumberOfRanksInAnyBatchAndChunk) {
    expect_same(2, 1, {16, 128, 64, true});
    if (slices_ >= 4) expect_same(4, 1, {3, 100, 7, false});
    expect_same(1, 3, {8, 512, 512, true});
    expect_same(1, 1, {2, 2, 1, false});
}

// Many could start together in chunks, and would want more pages than there are.
TEST_P(SameBitsOfScores, InFewPages) {
    for (const bool share : {false, true}) {
        const RunResult result = expect_same(2, 2, {16, 128, 20, share}, 9);
        EXPECT_EQ(result.tally.preemptions, 0) << "texts start when there is room for all of them";
        EXPECT_EQ(result.tally.shared_tokens > 0, share);
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, SameBitsOfScores, testing::Values("v3", "v2", "wide", "llama", "grok"),
                         [](const auto& param) { return std::string(param.param); });

// Six slices: one, three and six ranks add in one order. (Two would not: three slices a rank are no power of
// two.)
TEST(SameBitsOfSixSlices, OnOneThreeAndSixRanks) {
    const std::vector<Request> requests = mixed_requests(2000);
    const std::string expected = transcript(run_requests(plain_settings("wide-6-slices"), requests));
    for (const int ranks : {3, 6}) {
        RunSettings settings = plain_settings("wide-6-slices");
        settings.ranks = ranks;
        settings.policy = {16, 128, 64, true};
        EXPECT_EQ(transcript(run_requests(settings, requests)), expected) << ranks << " ranks";
    }
}

// Attention sees what the cache holds: a chunk's own tokens, too, are rounded before they are looked at.
class SameBitsInAnFp8Cache : public testing::TestWithParam<const char*> {};

TEST_P(SameBitsInAnFp8Cache, WithEverythingAtOnce) {
    const std::vector<Request> requests = mixed_requests(std::min(2000, vocabulary_of(GetParam())));
    RunSettings settings = plain_settings(GetParam());
    settings.kv_dtype = DType::F8E4M3;
    const std::string expected = transcript(run_requests(settings, requests));
    EXPECT_NE(expected, plain_transcript(GetParam(), requests)) << "nothing was rounded";
    settings.policy = {8, 40, 11, true};
    settings.pages = 8;
    for (const int ranks : {1, 2}) {
        settings.ranks = ranks;
        settings.threads = 3 - ranks;
        const RunResult result = run_requests(settings, requests);
        EXPECT_GT(result.tally.preemptions, 0);
        EXPECT_GT(result.tally.shared_tokens, 0);
        EXPECT_EQ(transcript(result), expected) << ranks << " ranks";
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, SameBitsInAnFp8Cache, testing::Values("v3", "llama"),
                         [](const auto& param) { return std::string(param.param); });

// With activations in fp8 the blocks of quantisation follow the checkpoint's slices, not the ranks.
TEST(SameBitsInFp8, OnAnyNumberOfRanksAndInAnyBatch) {
    const std::vector<Request> requests = mixed_requests(2000);
    RunSettings settings;
    settings.gemm = Products::Fp8;
    settings.policy = {1, 512, 512, false};
    const std::string expected = transcript(run_requests(settings, requests));
    settings.policy = {16, 128, 64, true};
    for (const int ranks : {1, 2, 4}) {
        settings.ranks = ranks;
        EXPECT_EQ(transcript(run_requests(settings, requests)), expected) << ranks << " ranks";
    }
}

}  // namespace
}  // namespace sluice::test
