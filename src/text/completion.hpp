// A request's completion, and the line of jsonl that holds it.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

enum class FinishReason { Stop, Length, Error };

std::string_view name_of(FinishReason reason);  // "stop", "length", "error"

struct Completion {
    std::string id;
    std::string id_json;  // what the line's "id" is
    std::string text;
    FinishReason finish_reason = FinishReason::Stop;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::optional<std::vector<Token>> tokens;
    std::string logprobs_json;  // in the shape of its line (logprobs_json in token_logprobs.hpp); empty: none
    std::optional<RequestError> error;
    std::string meta_json;     // empty: none
    int index = 0, n = 1;      // number `index` of its request's n
    std::int64_t ordinal = 0;  // its request's
    Api api = Api::None;       // its request's
    std::string api_model = {};
};

// The record that answers a request that cannot be served.
Completion error_record(const FailedRequest& failed);
Completion error_record(const Request& request, RequestError error);

// The line without its newline; fields that are absent are left out. What is not UTF-8 becomes U+FFFD.
std::string to_json_line(const Completion& completion);

}  // namespace sluice
