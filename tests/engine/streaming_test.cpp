// The text of completions as it appears, piece by piece.
#include "engine/generation.hpp"
#include "text/utf8.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice::test {
namespace {

TEST(Streaming, PiecesAreTheTextInWholeCharacters) {
    RunSettings settings;
    settings.streams = true;
    settings.checkpoint = "wide";  // of random weights: many tokens end within a character
    std::vector<Request> requests;
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
        Sampling sampling;
        sampling.max_new_tokens = 40;
        sampling.seed = seed;
        sampling.ignore_eos = true;
        if (seed % 3 == 1) sampling.stop = {"e", "an"};
        if (seed % 3 == 2) sampling.stop = {"\n\n", "zzz", "ta"};
        requests.push_back(text_request(std::to_string(seed), "First Citizen:", sampling));
    }
    const RunResult result = run_requests(settings, requests);
    std::size_t most = 0;
    for (const auto& [id, answer] : result.answers) {
        const auto found = result.pieces.find(id);
        const std::vector<std::string> none;
        const std::vector<std::string>& pieces = found == result.pieces.end() ? none : found->second;
        EXPECT_EQ(std::accumulate(pieces.begin(), pieces.end(), std::string()), answer.completion.text);
        for (const std::string& piece : pieces) {
            EXPECT_FALSE(piece.empty());
            EXPECT_TRUE(is_valid_utf8(piece)) << testing::PrintToString(piece);
        }
        most = std::max(most, pieces.size());
    }
    EXPECT_GT(most, 20U) << "the text comes as it is made";
}

}  // namespace
}  // namespace sluice::test
