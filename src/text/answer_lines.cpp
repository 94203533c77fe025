#include "text/answer_lines.hpp"

#include "core/error.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace sluice {
namespace {

// ---- txt ----

std::string escaped(std::string_view text) {
    std::string line;
    for (const char c : repair_utf8(text)) {
        switch (c) {
            case '\\': line += "\\\\"; break;
            case '\n': line += "\\n"; break;
            case '\r': line += "\\r"; break;
            default: line += c;
        }
    }
    return line;
}

std::string txt_line(const Completion& completion) {
    if (!completion.error) return escaped(completion.text);
    return fmt::format("{}{} {}", kTxtError, completion.error->code, escaped(completion.error->message));
}

// ---- the Batch API ----

struct ApiNames {
    std::string_view id;      // how a response's id begins
    std::string_view object;  // what a response calls itself
};

ApiNames names_of(Api api) {
    if (api == Api::Chat) return {"chatcmpl", "chat.completion"};
    return {"cmpl", "text_completion"};
}

std::string choice(const Completion& completion, Api api) {
    const std::string text = to_json_string(completion.text);
    std::string json;
    const auto out = std::back_inserter(json);
    fmt::format_to(out, R"({{"index":{},)", completion.index);
    if (api == Api::Chat)
        fmt::format_to(out, R"("message":{{"role":"assistant","content":{}}})", text);
    else
        fmt::format_to(out, R"("text":{})", text);
    fmt::format_to(out, R"(,"logprobs":{},"finish_reason":"{}")",
                   completion.logprobs_json.empty() ? "null" : completion.logprobs_json,
                   name_of(completion.finish_reason));
    if (completion.tokens) fmt::format_to(out, R"(,"tokens":[{}])", fmt::join(*completion.tokens, ","));
    return json + "}";
}

// No time of day: a line depends on its request alone.
std::string response(std::span<const Completion> choices, Api api, std::string_view hash) {
    const ApiNames names = names_of(api);
    std::vector<std::string> shown;
    std::int64_t completion_tokens = 0;
    for (const Completion& completion : choices) {
        shown.push_back(choice(completion, api));
        completion_tokens += completion.completion_tokens;
    }
    const std::int64_t prompt_tokens = choices.front().prompt_tokens;
    return fmt::format(R"({{"id":"{}-{}","object":"{}","created":0,"model":{},"choices":[{}],)"
                       R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}})",
                       names.id, hash, names.object, to_json_string(choices.front().api_model),
                       fmt::join(shown, ","), prompt_tokens, completion_tokens,
                       prompt_tokens + completion_tokens);
}

bool is_our_fault(const RequestError& error) { return error.code == "nan_logits"; }

std::string failure(const RequestError& error) {
    return fmt::format(
        R"({{"error":{{"message":{},"type":"{}","param":null,"code":{}}}}})", to_json_string(error.message),
        is_our_fault(error) ? "server_error" : "invalid_request_error", to_json_string(error.code));
}

std::string api_line(std::span<const Completion> choices, Api api) {
    const Completion& first = choices.front();
    const std::string hash = fmt::format("{:016x}", XXH3_64bits(first.id_json.data(), first.id_json.size()));
    const auto failed =
        std::ranges::find_if(choices, [](const Completion& c) { return c.error.has_value(); });
    const int status = failed == choices.end() ? 200 : is_our_fault(*failed->error) ? 500 : 400;
    return fmt::format(
        R"({{"id":"batch_req_{}","custom_id":{},"response":{{"status_code":{},"request_id":"req_{}","body":{}}},)"
        R"("error":null{}}})",
        hash, first.id_json, status, hash,
        failed == choices.end() ? response(choices, api, hash) : failure(*failed->error),
        first.meta_json.empty() ? "" : ",\"meta\":" + first.meta_json);
}

}  // namespace

std::string_view name_of(OutputFormat format) {
    switch (format) {
        case OutputFormat::AsAsked: return "as_asked";
        case OutputFormat::Jsonl: return "jsonl";
        case OutputFormat::OpenAi: return "openai";
        case OutputFormat::Txt: return "txt";
    }
    return "";
}

Api shape_of(Api asked, OutputFormat format) {
    if (format == OutputFormat::AsAsked) return asked;
    if (format != OutputFormat::OpenAi) return Api::None;
    return asked == Api::None ? Api::Completions : asked;
}

std::string answer_line(std::span<const Completion> choices, OutputFormat format) {
    expect(!choices.empty(), "an answer without a completion");
    if (format == OutputFormat::Txt) return txt_line(choices.front());
    const Api api = shape_of(choices.front().api, format);
    return api == Api::None ? to_json_line(choices.front()) : api_line(choices, api);
}

}  // namespace sluice
