// A line of sluice-score: how likely a model finds a given text, token by token.
#pragma once

#include "text/request.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// Sums over scored tokens, of one text or many.
struct ScoreTotals {
    std::int64_t tokens = 0;
    double logprob = 0;  // natural

    // exp of the mean negative log-likelihood a token; NaN of no token.
    double perplexity() const {
        return tokens > 0 ? std::exp(-logprob / static_cast<double>(tokens))
                          : std::numeric_limits<double>::quiet_NaN();
    }
    ScoreTotals& operator+=(const ScoreTotals& more) {
        tokens += more.tokens;
        logprob += more.logprob;
        return *this;
    }
};

struct Score {
    std::string id_json;          // what the line's "id" is
    std::vector<Token> tokens;    // the whole text
    std::size_t first = 0;        // tokens before this one are only given
    std::vector<float> logprobs;  // of tokens[first], tokens[first + 1], ...
    // A list with an item for each token: null, or its alternatives (to_json in token_logprobs.hpp); empty:
    // none.
    std::string top_logprobs_json;
    std::optional<RequestError> error;
    std::string meta_json;     // empty: none
    std::int64_t ordinal = 0;  // its request's

    ScoreTotals totals() const;
};

// The record that answers a line that cannot be scored.
Score score_error(const FailedRequest& failed);
Score score_error(const Request& request, RequestError error);

// The line without its newline; fields that are absent are left out.
std::string to_json_line(const Score& score);

}  // namespace sluice
