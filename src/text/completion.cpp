#include "text/completion.hpp"

#include "text/request_json.hpp"

#include <fmt/ranges.h>

#include <iterator>
#include <utility>

namespace sluice {

std::string_view name_of(FinishReason reason) {
    switch (reason) {
        case FinishReason::Stop: return "stop";
        case FinishReason::Length: return "length";
        case FinishReason::Error: return "error";
    }
    return "";
}

Completion error_record(const FailedRequest& failed) {
    Completion completion;
    completion.id = failed.id;
    completion.id_json = failed.id_json;
    completion.finish_reason = FinishReason::Error;
    completion.error = failed.error;
    completion.meta_json = failed.meta_json;
    completion.ordinal = failed.ordinal;
    completion.api = failed.api;
    completion.api_model = failed.api_model;
    return completion;
}

Completion error_record(const Request& request, RequestError error) {
    Completion completion = error_record(failed_request(request, std::move(error)));
    completion.index = request.index;
    completion.n = request.sampling.n;
    return completion;
}

std::string to_json_line(const Completion& completion) {
    std::string line;
    const auto out = std::back_inserter(line);
    fmt::format_to(out, R"({{"id":{})", completion.id_json);
    if (completion.n > 1) fmt::format_to(out, R"(,"index":{})", completion.index);
    fmt::format_to(out, R"(,"completion":{},"finish_reason":"{}","prompt_tokens":{},"completion_tokens":{})",
                   to_json_string(completion.text), name_of(completion.finish_reason),
                   completion.prompt_tokens, completion.completion_tokens);
    if (completion.tokens) fmt::format_to(out, R"(,"tokens":[{}])", fmt::join(*completion.tokens, ","));
    if (!completion.logprobs_json.empty()) fmt::format_to(out, R"(,"logprobs":{})", completion.logprobs_json);
    if (completion.error) fmt::format_to(out, R"(,"error":{})", to_json(*completion.error));
    if (!completion.meta_json.empty()) fmt::format_to(out, R"(,"meta":{})", completion.meta_json);
    return line + "}";
}

}  // namespace sluice
