#include "engine/answer.hpp"

#include <utility>

namespace sluice {

Answer answer_to(const Request& request, Answer same) {
    Completion& completion = same.completion;
    completion.id = request.id;
    completion.id_json = request.id_json;
    completion.meta_json = request.meta_json;
    completion.index = request.index;
    completion.n = request.sampling.n;
    completion.ordinal = request.ordinal;
    completion.api = request.api;
    completion.api_model = request.api_model;
    return same;
}

PartialAnswer partial_of(const Answer& answer) {
    PartialAnswer partial{answer.fingerprint, answer.tokens, {}};
    if (!answer.completion.logprobs_json.empty()) partial.logprobs = answer.logprobs;
    return partial;
}

}  // namespace sluice
