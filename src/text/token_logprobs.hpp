// Log-probabilities of tokens, as output files show them. All are natural, under the model's own
// distribution: temperature 1, no penalty, no filter.
#pragma once

#include "text/tokenizer.hpp"

#include <string>
#include <vector>

namespace sluice {

struct TokenLogprob {
    Token token = 0;
    float logprob = 0;
};

// One token of a text, and the most likely tokens in its place (logprob descending, ties to the lower id).
struct PositionLogprobs {
    TokenLogprob chosen;
    std::vector<TokenLogprob> top;
};

// The shortest decimal that reads back as the same number; null for what JSON cannot write (-infinity, of a
// token that the model rules out).
std::string to_json_number(float value);
std::string to_json_number(double value);

// A list of {"id":17,"token":" the","logprob":-0.25}: each token's text alone, U+FFFD for what is not UTF-8.
std::string to_json(const Tokenizer& tokenizer, const std::vector<TokenLogprob>& tokens);
// A list of {"id":17,"token":" the","logprob":-0.25,"top":[...]}.
std::string to_json(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions);

}  // namespace sluice
