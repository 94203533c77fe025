// Log-probabilities of tokens, as output files show them. All are natural, under the model's own
// distribution: temperature 1, no penalty, no filter.
#pragma once

#include "text/request.hpp"
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

// What a completion's line says of its tokens' log-probabilities, in the shape of `api`. None: to_json.
// Chat:
// {"content":[{"token","logprob","bytes","top_logprobs":[{"token","logprob","bytes"}]}],"refusal":null}.
// Completions: {"tokens":[],"token_logprobs":[],"top_logprobs":[{TOKEN: LOGPROB}],"text_offset":[]}; a token
// that is no UTF-8 alone shows as "bytes:\\xE2\\x82", offsets count characters of the tokens' texts, and of
// tokens with one text the most likely is shown. An API has -9999 where our own lines have null.
std::string logprobs_json(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions,
                          Api api);

}  // namespace sluice
