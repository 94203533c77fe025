// What a Generator says of a request.
#pragma once

#include "text/completion.hpp"
#include "text/partial_answers.hpp"
#include "text/token_logprobs.hpp"

#include <cstdint>
#include <vector>

namespace sluice {

// A completion with what is to be known of it besides.
struct Answer {
    Completion completion;
    std::vector<Token> tokens;
    // Of each token, where the request asks for them; else of none, or, where GeneratorOptions wants them
    // kept, without alternatives. Then tokens of an earlier run have none that is known: NaN.
    std::vector<PositionLogprobs> logprobs;
    std::uint64_t fingerprint = 0;  // CompletionKey's; 0: of a request that was refused
};

// The answer as that of `request`, which must have the same completion.
Answer answer_to(const Request& request, Answer same);

// What a later run needs in order to give the answer again without computing it.
PartialAnswer partial_of(const Answer& answer);

}  // namespace sluice
