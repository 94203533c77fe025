// One request's logits are no numbers: it alone is answered by an error. Checkpoints here have a token whose
// embedding is NaN, which makes every later position of a sequence NaN that meets it.
#include "checkpoint/convert.hpp"
#include "checkpoint/safetensors_image.hpp"
#include "engine/generation.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice::test {
namespace {

constexpr Token kUnusedToken = 2047;             // in the model's vocabulary, not in the tokenizer's
constexpr std::string_view kNaN("\xc0\x7f", 2);  // a bfloat16

// A copy of the tiny V3 in which one token's embedding is NaN, as a Sluice checkpoint.
std::string poisoned_checkpoint(const ScratchFolder& folder, Token token) {
    const std::filesystem::path source = folder / "source";
    std::filesystem::copy(std::filesystem::path(SLUICE_TEST_DATA) / "models/deepseek-v3-tiny", source);
    const std::filesystem::path file = source / "model-00001-of-00002.safetensors";
    RawTensors tensors = read_safetensors(file);
    RawTensor& embedding = tensors.at("model.embed_tokens.weight");
    expect(embedding.dtype == "BF16", "embeddings of type {}", embedding.dtype);
    const auto width = static_cast<std::size_t>(embedding.shape.at(1));
    for (std::size_t i = 0; i < width; ++i)
        embedding.bytes.replace((static_cast<std::size_t>(token) * width + i) * 2, 2, kNaN);
    write_safetensors(file, tensors);
    convert_checkpoint(source, folder / "poisoned", {}, [](std::uint64_t, std::uint64_t) { return true; });
    return (folder / "poisoned").string();  // absolute: the folder of built checkpoints does not matter
}

Sampling greedy(int tokens) {
    Sampling sampling;
    sampling.temperature = 0;
    sampling.max_new_tokens = tokens;
    sampling.ignore_eos = true;
    return sampling;
}

std::vector<Token> counting(Token first, int count) {
    std::vector<Token> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(3 + (first + i * 37) % 1900);
    return tokens;
}

// Requests without the poisoned token: greedy and drawn, shorter and longer than a page of the cache.
std::vector<Request> healthy_requests() {
    std::vector<Request> requests;
    for (int i = 0; i < 7; ++i) {
        Sampling sampling = greedy(6 + 5 * i);
        if (i % 2 == 1) {
            sampling.temperature = 0.8F;
            sampling.top_p = i == 3 ? 0.9F : 1.0F;
            sampling.repetition_penalty = i == 5 ? 1.2F : 1.0F;
        }
        requests.push_back(
            token_request("healthy-" + std::to_string(i), counting(11 * i, 5 + 29 * i), sampling));
    }
    return requests;
}

std::vector<Request> with(std::vector<Request> requests, std::size_t at, Request other) {
    requests.insert(requests.begin() + static_cast<std::ptrdiff_t>(at), std::move(other));
    return requests;
}

// The poisoned request has its error, and is the only one.
void expect_one_error(RunResult& result, const std::string& id, const std::string& message) {
    ASSERT_TRUE(result.answers.contains(id));
    const Completion& failed = result.answers[id].completion;
    EXPECT_EQ(failed.finish_reason, FinishReason::Error);
    ASSERT_TRUE(failed.error.has_value());
    EXPECT_EQ(failed.error->code, "nan_logits");
    EXPECT_THAT(failed.error->message, testing::HasSubstr(message));
    EXPECT_EQ(failed.text, "");
    EXPECT_EQ(result.tally.errors, 1);
    EXPECT_EQ(result.tally.answered, static_cast<std::int64_t>(result.answers.size()));
}

// The others' answers are those of a run without it.
void expect_others_untouched(RunResult result, const std::string& id, const RunResult& alone) {
    result.answers.erase(id);
    EXPECT_EQ(transcript(result), transcript(alone));
}

class NanLogits : public testing::Test {
protected:
    RunSettings settings_;
    ScratchFolder folder_;
};

TEST_F(NanLogits, OfAPromptAreThatRequestsAlone) {
    settings_.checkpoint = poisoned_checkpoint(folder_, kUnusedToken);
    const std::vector<Request> healthy = healthy_requests();
    std::vector<Token> prompt = counting(5, 40);
    prompt[20] = kUnusedToken;
    for (const Products gemm : {Products::Bf16, Products::Fp8}) {
        settings_.gemm = gemm;
        settings_.ranks = 1;
        const RunResult alone = run_requests(settings_, healthy);
        ASSERT_EQ(alone.tally.errors, 0);
        for (const int ranks : {1, 2, 4}) {
            settings_.ranks = ranks;
            RunResult result =
                run_requests(settings_, with(healthy, 2, token_request("bad", prompt, greedy(9))));
            expect_one_error(result, "bad", "at token 0 ");
            expect_others_untouched(result, "bad", alone);
        }
    }
}

TEST_F(NanLogits, OfAnyWayOfSampling) {
    settings_.checkpoint = poisoned_checkpoint(folder_, kUnusedToken);
    const std::vector<Request> healthy = healthy_requests();
    const RunResult alone = run_requests(settings_, healthy);
    Sampling drawn = greedy(9);
    drawn.temperature = 1;
    Sampling filtered = drawn;
    filtered.top_k = 5;
    filtered.top_p = 0.5F;
    Sampling penalized = drawn;
    penalized.repetition_penalty = 1.3F;
    settings_.ranks = 2;
    for (const Sampling& sampling : {drawn, filtered, penalized}) {
        RunResult result =
            run_requests(settings_, with(healthy, 0, token_request("bad", {7, kUnusedToken}, sampling)));
        expect_one_error(result, "bad", "at token 0 ");
        expect_others_untouched(result, "bad", alone);
    }
}

// Wherever the first NaN stands in a text: before its completion, inside it, in another step.
TEST_F(NanLogits, OfATextAreThatTextsAlone) {
    settings_.checkpoint = poisoned_checkpoint(folder_, kUnusedToken);
    const std::vector<Request> healthy = healthy_requests();
    for (const int ranks : {1, 2}) {
        settings_.ranks = ranks;
        settings_.policy = {8, 64, 33, true};
        const RunResult alone = run_scores(settings_, healthy);
        ASSERT_EQ(alone.tally.errors, 0);
        for (const std::size_t place : {0U, 20U, 40U, 198U}) {
            std::vector<Token> text = counting(5, 200);
            text[place] = kUnusedToken;
            RunResult result = run_scores(settings_, with(healthy, 2, token_request("bad", text, {})));
            const Score& failed = result.scores.at("\"bad\"");
            ASSERT_TRUE(failed.error.has_value()) << place;
            EXPECT_EQ(failed.error->code, "nan_logits");
            EXPECT_THAT(failed.error->message,
                        testing::HasSubstr("at token " + std::to_string(place + 1) + " "));
            EXPECT_TRUE(failed.tokens.empty());
            EXPECT_EQ(result.tally.errors, 1);
            result.scores.erase("\"bad\"");
            EXPECT_EQ(transcript(result), transcript(alone));
        }
    }
    // The last token's own row is not computed.
    std::vector<Token> text = counting(5, 20);
    text.back() = kUnusedToken;
    EXPECT_EQ(run_scores(settings_, {token_request("fine", text, {})}).tally.errors, 0);
}

// A page that held NaN is given on: its stale rows must not reach the next sequence.
TEST_F(NanLogits, LeaveNothingInTheCache) {
    settings_.checkpoint = poisoned_checkpoint(folder_, kUnusedToken);
    settings_.policy = {1, 128, 64, true};
    settings_.pages = 4;
    const std::vector<Request> healthy = healthy_requests();
    const RunResult alone = run_requests(settings_, healthy);
    std::vector<Token> prompt(250, kUnusedToken);
    RunResult result = run_requests(settings_, with(healthy, 0, token_request("bad", prompt, greedy(3))));
    expect_one_error(result, "bad", "at token 0 ");
    expect_others_untouched(result, "bad", alone);
}

// The pages that the poisoned prompt shares with others end before its NaN.
TEST_F(NanLogits, DoNotSpreadThroughSharedPrefixes) {
    settings_.checkpoint = poisoned_checkpoint(folder_, kUnusedToken);
    std::vector<Request> healthy;
    for (int i = 0; i < 4; ++i) {
        std::vector<Token> prompt = counting(1, 200);
        prompt.resize(static_cast<std::size_t>(120 + 20 * i));
        healthy.push_back(token_request("healthy-" + std::to_string(i), prompt, greedy(8)));
    }
    settings_.policy = {1, 128, 64, true};
    const RunResult alone = run_requests(settings_, healthy);
    std::vector<Token> prompt = counting(1, 200);
    prompt[100] = kUnusedToken;
    RunResult result = run_requests(settings_, with(healthy, 0, token_request("bad", prompt, greedy(8))));
    EXPECT_GT(result.tally.shared_tokens, alone.tally.shared_tokens) << "the first page was not shared";
    expect_one_error(result, "bad", "at token 0 ");
    expect_others_untouched(result, "bad", alone);
}

// The first token of `answer`, not its last, that neither its prompt nor any other request holds; and where.
std::size_t token_of_its_own(const RunResult& run, const std::vector<Request>& requests,
                             const std::string& id) {
    std::vector<Token> common;
    for (const Request& request : requests) {
        const auto& prompt = std::get<std::vector<Token>>(request.input);
        common.insert(common.end(), prompt.begin(), prompt.end());
        const std::vector<Token>& tokens = run.answers.at(request.id).tokens;
        if (request.id != id) common.insert(common.end(), tokens.begin(), tokens.end());
    }
    const std::vector<Token>& own = run.answers.at(id).tokens;
    const auto found = std::find_if(own.begin() + 2, own.end() - 1, [&](Token token) {
        return std::ranges::find(common, token) == common.end();
    });
    expect(found != own.end() - 1, "no token of its own in {}", id);
    return static_cast<std::size_t>(std::ranges::find(own, *found) - own.begin());
}

TEST_F(NanLogits, WhileDecodingEndTheRequestThere) {
    const std::vector<Request> requests =
        with(healthy_requests(), 3, token_request("bad", counting(700, 33), greedy(64)));
    const RunResult sound = run_requests(settings_, requests);
    const std::size_t at = token_of_its_own(sound, requests, "bad");
    settings_.checkpoint = poisoned_checkpoint(folder_, sound.answers.at("bad").tokens[at]);
    for (const int ranks : {1, 4}) {
        settings_.ranks = ranks;
        RunResult result = run_requests(settings_, requests);
        expect_one_error(result, "bad", "at token " + std::to_string(at + 1) + " ");
        RunResult others = sound;
        others.answers.erase("bad");
        expect_others_untouched(result, "bad", others);
    }
}

}  // namespace
}  // namespace sluice::test
