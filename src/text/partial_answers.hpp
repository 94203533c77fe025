// OUTPUT.partial: the tokens of completions that a stop caught on their way, so that a resumed run goes on
// where they were.
#pragma once

#include "text/request.hpp"
#include "text/token_logprobs.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct PartialAnswer {
    std::string id_json;
    int index = 0;                  // which of its request's n
    std::uint64_t fingerprint = 0;  // of the request's tokens and sampling: what its tokens follow from
    std::vector<Token> tokens;
    std::vector<PositionLogprobs> logprobs;  // of each token; empty where the request asks for none
};

}  // namespace sluice
