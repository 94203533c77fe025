#include "engine/generation.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::test {
namespace {

Answer answer_with(std::vector<Token> end_of_turn, bool ignore_eos) {
    RunSettings settings;
    settings.end_of_turn = std::move(end_of_turn);
    Sampling sampling;
    sampling.max_new_tokens = 12;
    sampling.temperature = 0;
    sampling.ignore_eos = ignore_eos;
    const RunResult result = run_requests(settings, {text_request("a", "First Citizen:", sampling)});
    return result.answers.at("a");
}

TEST(EndOfTurn, EndsACompletionAsEosDoes) {
    const Answer whole = answer_with({}, true);
    ASSERT_EQ(whole.tokens.size(), 12U);
    // A token that does not come before its place, so that the completion can end there.
    std::size_t place = 1;
    while (std::find(whole.tokens.begin(), whole.tokens.begin() + static_cast<std::ptrdiff_t>(place),
                     whole.tokens[place]) != whole.tokens.begin() + static_cast<std::ptrdiff_t>(place))
        ++place;
    const Token end = whole.tokens[place];

    const Answer stopped = answer_with({2047, end}, false);
    EXPECT_EQ(stopped.completion.finish_reason, FinishReason::Stop);
    EXPECT_EQ(stopped.tokens, std::vector<Token>(whole.tokens.begin(),
                                                 whole.tokens.begin() + static_cast<std::ptrdiff_t>(place)));
    EXPECT_EQ(answer_with({end}, true).tokens, whole.tokens) << "ignore_eos";
}

}  // namespace
}  // namespace sluice::test
