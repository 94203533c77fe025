#include "text/request_openai.hpp"

#include "core/json.hpp"
#include "text/line_refusal.hpp"
#include "text/request_members.hpp"
#include "text/sampling_json.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

// ---- members of the body ----

// The body's names of sampling options. Those after `stop` are vLLM's.
struct Name {
    std::string_view name;
    std::string_view option;
};
constexpr std::array kOptions{Name{"max_tokens", "max_new_tokens"},
                              Name{"max_completion_tokens", "max_new_tokens"},
                              Name{"temperature", "temperature"},
                              Name{"top_p", "top_p"},
                              Name{"n", "n"},
                              Name{"seed", "seed"},
                              Name{"stop", "stop"},
                              Name{"top_k", "top_k"},
                              Name{"min_p", "min_p"},
                              Name{"repetition_penalty", "repetition_penalty"},
                              Name{"ignore_eos", "ignore_eos"}};

// Members that would change the answer in a way that we do not know, unless they ask for nothing.
struct Neutral {
    std::string_view name;
    bool (*is_neutral)(const Json& value);
    std::string_view wants;
};
bool is_zero(const Json& value) { return value.is_number() && value == 0; }
bool is_false(const Json& value) { return value.is_boolean() && value == false; }
bool is_empty_list(const Json& value) { return value.is_array() && value.empty(); }
bool is_no_call(const Json& value) { return value == "none" || value == "auto"; }
bool is_nothing(const Json&) { return false; }

constexpr std::array kNeutral{
    Neutral{"frequency_penalty", is_zero, "0"},
    Neutral{"presence_penalty", is_zero, "0"},
    Neutral{"logit_bias", [](const Json& value) { return value.is_object() && value.empty(); }, "{}"},
    Neutral{"response_format",
            [](const Json& value) {
                return value == Json{{"type", "text"}};
            },
            R"({"type": "text"})"},
    Neutral{"tools", is_empty_list, "[]"},
    Neutral{"functions", is_empty_list, "[]"},
    Neutral{"tool_choice", is_no_call, R"("none" or "auto")"},
    Neutral{"function_call", is_no_call, R"("none" or "auto")"},
    Neutral{"stream", is_false, "false"},
    Neutral{"stream_options", is_nothing, "null"},
    Neutral{"echo", is_false, "false"},
    Neutral{"suffix", [](const Json& value) { return value == ""; }, R"("")"},
    Neutral{"modalities", [](const Json& value) { return value == Json{"text"}; }, R"(["text"])"},
    Neutral{"audio", is_nothing, "null"},
    Neutral{"prediction", is_nothing, "null"},
    Neutral{"reasoning_effort", is_nothing, "null"},
    Neutral{"verbosity", is_nothing, "null"},
    Neutral{"web_search_options", is_nothing, "null"}};

// What the answer does not depend on.
constexpr std::array<std::string_view, 7> kPassedOver{"user",
                                                      "metadata",
                                                      "store",
                                                      "service_tier",
                                                      "safety_identifier",
                                                      "prompt_cache_key",
                                                      "parallel_tool_calls"};

void check_body_keys(std::string_view body, Api api) {
    std::vector<std::string_view> known{"model", "logprobs"};
    if (api == Api::Chat)
        known.insert(known.end(), {"messages", "top_logprobs"});
    else
        known.insert(known.end(), {"prompt", "best_of"});
    for (const Name& option : kOptions) known.push_back(option.name);
    std::vector<std::string_view> passed_over(kPassedOver.begin(), kPassedOver.end());
    for (const Neutral& neutral : kNeutral) passed_over.push_back(neutral.name);
    check_keys(json_members(body), known, passed_over);
}

// ---- the body ----

// A member; none when it is absent or null, which the API takes for the same.
const Json* member(const Json& body, std::string_view name) {
    const auto found = body.find(name);
    return found == body.end() || found->is_null() ? nullptr : &*found;
}

// The API takes a list of prompts; a line of ours has one answer, and so one prompt.
void read_prompt(const Json& prompt, Request& request) {
    if (!prompt.is_array()) {
        request.input = read_text(prompt, "prompt", "bad_prompt", "empty_prompt");
        return;
    }
    const bool holds_prompts = !prompt.empty() && (prompt[0].is_string() || prompt[0].is_array());
    if (!holds_prompts) {
        request.input = read_tokens(prompt, "prompt");
        return;
    }
    if (prompt.size() > 1)
        refuse("bad_prompt", "prompt is a list of {} prompts: expected one, and a line for each",
               prompt.size());
    if (prompt[0].is_array())
        request.input = read_tokens(prompt[0], "prompt[0]");
    else
        request.input = read_text(prompt[0], "prompt[0]", "bad_prompt", "empty_prompt");
}

void read_body_input(const Json& body, Request& request) {
    const char* name = request.api == Api::Chat ? "messages" : "prompt";
    const Json* input = member(body, name);
    if (input == nullptr) refuse("no_prompt", "the body has no {}", name);
    if (request.api == Api::Chat)
        request.input = read_messages(*input, name, MessageStyle::OpenAi);
    else
        read_prompt(*input, request);
}

void read_options(const Json& body, Sampling& sampling) {
    for (const auto& [name, option] : kOptions) {
        const Json* value = member(body, name);
        if (value == nullptr) continue;
        const bool off = name == "top_k" && *value == -1;  // as vLLM has it
        read_option(off ? Json(0U) : *value, option, name, sampling);
    }
    const Json* older = member(body, "max_tokens");
    const Json* newer = member(body, "max_completion_tokens");
    if (older != nullptr && newer != nullptr && *older != *newer)
        refuse("bad_option", "max_tokens is {} and max_completion_tokens {}: expected one of them",
               shown(*older), shown(*newer));
}

// The API can show the chosen token alone. We then show the most likely one beside it.
int alternatives(int asked) { return std::max(asked, 1); }

void read_chat_logprobs(const Json& body, Sampling& sampling) {
    const Json* wanted = member(body, "logprobs");
    const Json* count = member(body, "top_logprobs");
    if (wanted != nullptr && !wanted->is_boolean())
        refuse("bad_option", "logprobs is {}: expected true or false", shown(*wanted));
    Sampling asked;
    if (count != nullptr) read_option(*count, "logprobs", "top_logprobs", asked);
    const bool on = wanted != nullptr && *wanted == true;
    if (asked.logprobs > 0 && !on)
        refuse("bad_option", "top_logprobs is {} without logprobs: expected \"logprobs\": true beside it",
               asked.logprobs);
    if (wanted != nullptr) sampling.logprobs = on ? alternatives(asked.logprobs) : 0;
}

void read_completion_logprobs(const Json& body, Sampling& sampling) {
    const Json* count = member(body, "logprobs");
    if (count == nullptr) return;
    read_option(*count, "logprobs", "logprobs", sampling);
    sampling.logprobs = alternatives(sampling.logprobs);
}

void check_neutral(const Json& body, const Sampling& sampling) {
    for (const Neutral& neutral : kNeutral) {
        const Json* value = member(body, neutral.name);
        if (value != nullptr && !neutral.is_neutral(*value))
            refuse("unsupported_option", "{} is {}: this is not supported (expected {}, or none)",
                   neutral.name, shown(*value), neutral.wants);
    }
    const Json* best_of = member(body, "best_of");
    if (best_of != nullptr && *best_of != sampling.n)
        refuse("unsupported_option", "best_of is {}: this is not supported (expected n, which is {})",
               shown(*best_of), sampling.n);
}

// ---- the line ----

void read_custom_id(const Json& line, Request& request) {
    const auto found = line.find("custom_id");
    if (found == line.end()) refuse("bad_id", "custom_id is missing: expected a string");
    if (!found->is_string()) refuse("bad_id", "custom_id is {}: expected a string", shown(*found));
    request.id_json = found->dump();
    request.id = found->get<std::string>();
}

void read_url(const Json& line, Request& request) {
    const Json* method = member(line, "method");
    if (method != nullptr && *method != "POST")
        refuse("bad_request", "method is {}: expected \"POST\"", shown(*method));
    const Json* url = member(line, "url");
    if (url != nullptr && *url == "/v1/chat/completions")
        request.api = Api::Chat;
    else if (url != nullptr && *url == "/v1/completions")
        request.api = Api::Completions;
    else
        refuse("bad_request", "url is {}: expected /v1/chat/completions or /v1/completions",
               url != nullptr ? shown(*url) : "missing");
}

const Json& body_of(const Json& line) {
    const Json* body = member(line, "body");
    if (body == nullptr || !body->is_object())
        refuse("bad_request", "body is {}: expected an object", body != nullptr ? shown(*body) : "missing");
    return *body;
}

void read_model(const Json& body, Request& request) {
    const Json* model = member(body, "model");
    if (model == nullptr) return;
    if (!model->is_string()) refuse("bad_option", "model is {}: expected a string", shown(*model));
    request.api_model = model->get<std::string>();
}

}  // namespace

void read_openai(const Json& line, const std::vector<JsonMember>& members, Request& request) {
    request.api = Api::Chat;  // until the url says otherwise
    read_custom_id(line, request);
    check_keys(members, {"custom_id", "method", "url", "body"});
    read_url(line, request);
    const Json& body = body_of(line);
    read_model(body, request);
    for (const JsonMember& member : members) {
        if (key_of(member) == "body") check_body_keys(member.value, request.api);
    }
    read_body_input(body, request);
    read_options(body, request.sampling);
    if (request.api == Api::Chat)
        read_chat_logprobs(body, request.sampling);
    else
        read_completion_logprobs(body, request.sampling);
    check_neutral(body, request.sampling);
}

}  // namespace sluice
