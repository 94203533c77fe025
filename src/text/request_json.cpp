#include "text/request_json.hpp"

#include "core/json.hpp"
#include "text/json_members.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <climits>
#include <cmath>
#include <set>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 80;     // of a value, in a message
constexpr std::size_t kMessageBytes = 400;  // of what the JSON parser says: it quotes the text it stopped at

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string shown(const Json& value) { return clip_utf8(dump(value), kShownBytes); }

// Unwinds a line's parsing; never leaves this file.
struct Refusal {
    std::string code;
    std::string what;
};

template <class... Args>
[[noreturn]] void refuse(const char* code, fmt::format_string<Args...> format, Args&&... args) {
    throw Refusal{code, fmt::format(format, std::forward<Args>(args)...)};
}

// ---- options ----

// Each reader takes a value of the right JSON type and says whether it was one; check() judges the range.
bool read_int(const Json& value, int& out) {
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT_MAX) return false;
    const auto number = value.get<std::int64_t>();
    if (number < INT_MIN) return false;
    out = static_cast<int>(number);
    return true;
}

bool read_float(const Json& value, float& out) {
    if (!value.is_number() || std::abs(value.get<double>()) > FLT_MAX) return false;
    out = static_cast<float>(value.get<double>());
    return true;
}

bool read_seed(const Json& value, std::uint64_t& out) {
    if (!value.is_number_unsigned()) return false;
    out = value.get<std::uint64_t>();
    return true;
}

bool read_stop(const Json& value, std::vector<std::string>& out) {
    const auto is_string = [](const Json& item) { return item.is_string(); };
    if (value.is_string())
        out = {value.get<std::string>()};
    else if (value.is_array() && std::all_of(value.begin(), value.end(), is_string))
        out = value.get<std::vector<std::string>>();
    else
        return false;
    return true;
}

bool read_flag(const Json& value, bool& out) {
    if (!value.is_boolean()) return false;
    out = value.get<bool>();
    return true;
}

struct Option {
    std::string_view name;
    std::string_view wants;
    bool (*read)(const Json& value, Sampling& out);
};

constexpr std::array kOptions{
    Option{"max_new_tokens", "a whole number from 1 to 2147483647",
           [](const Json& value, Sampling& s) { return read_int(value, s.max_new_tokens); }},
    Option{"temperature", "a number, 0 (greedy) or more",
           [](const Json& value, Sampling& s) { return read_float(value, s.temperature); }},
    Option{"top_k", "a whole number from 0 (off) to 2147483647",
           [](const Json& value, Sampling& s) { return read_int(value, s.top_k); }},
    Option{"top_p", "a number above 0, up to 1 (off)",
           [](const Json& value, Sampling& s) { return read_float(value, s.top_p); }},
    Option{"min_p", "a number from 0 (off) to 1",
           [](const Json& value, Sampling& s) { return read_float(value, s.min_p); }},
    Option{"repetition_penalty", "a number above 0; 1 is off",
           [](const Json& value, Sampling& s) { return read_float(value, s.repetition_penalty); }},
    Option{"seed", "a whole number from 0 to 18446744073709551615",
           [](const Json& value, Sampling& s) { return read_seed(value, s.seed); }},
    Option{"stop", "a string or a list of strings, none of them empty",
           [](const Json& value, Sampling& s) { return read_stop(value, s.stop); }},
    Option{"ignore_eos", "true or false",
           [](const Json& value, Sampling& s) { return read_flag(value, s.ignore_eos); }},
    Option{"logprobs", "a whole number from 0 (off) to 20",
           [](const Json& value, Sampling& s) { return read_int(value, s.logprobs); }},
};

const Option& option(std::string_view name) {
    return *std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& o) { return o.name == name; });
}

void read_options(const Json& line, Sampling& sampling) {
    for (const Option& option : kOptions) {
        const auto found = line.find(option.name);
        if (found != line.end() && !option.read(*found, sampling))
            refuse("bad_option", "{} is {}: expected {}", option.name, shown(*found), option.wants);
    }
    if (auto problem = check(sampling)) throw Refusal{problem->code, problem->message};
}

// ---- inputs ----

std::vector<std::string_view> inputs_of(Purpose purpose) {
    if (purpose == Purpose::Score) return {"text", "prompt", "messages", "tokens"};
    return {"prompt", "messages", "tokens"};
}

std::string read_text(const Json& value, std::string_view name, const char* bad, const char* empty) {
    if (!value.is_string()) refuse(bad, "{} is {}: expected a string", name, shown(value));
    if (value.get_ref<const std::string&>().empty()) refuse(empty, "{} is empty", name);
    return value.get<std::string>();
}

Message read_message(const Json& value, std::size_t index) {
    if (!value.is_object())
        refuse("bad_messages", "messages[{}] is {}: expected an object", index, shown(value));
    for (const auto& item : value.items()) {
        if (item.key() != "role" && item.key() != "content")
            refuse("unknown_key", "messages[{}] has the key {}: expected role and content only", index,
                   shown(item.key()));
    }
    for (const char* key : {"role", "content"}) {
        if (!value.contains(key)) refuse("bad_messages", "messages[{}] has no {}", index, key);
        if (!value[key].is_string())
            refuse("bad_messages", "messages[{}].{} is {}: expected a string", index, key, shown(value[key]));
    }
    Message message{value["role"], value["content"]};
    if (message.role != "system" && message.role != "user" && message.role != "assistant")
        refuse("unknown_role", "messages[{}].role is {}: expected system, user or assistant", index,
               shown(message.role));
    return message;
}

std::vector<Message> read_messages(const Json& value) {
    if (!value.is_array()) refuse("bad_messages", "messages is {}: expected a list", shown(value));
    if (value.empty()) refuse("empty_prompt", "messages is an empty list");
    std::vector<Message> messages;
    messages.reserve(value.size());
    for (const Json& item : value) messages.push_back(read_message(item, messages.size()));
    return messages;
}

std::vector<Token> read_tokens(const Json& value) {
    if (!value.is_array()) refuse("bad_tokens", "tokens is {}: expected a list", shown(value));
    if (value.empty()) refuse("empty_prompt", "tokens is an empty list");
    std::vector<Token> tokens;
    tokens.reserve(value.size());
    for (const Json& item : value) {
        int token = 0;
        if (!read_int(item, token) || token < 0)
            refuse("bad_tokens", "tokens[{}] is {}: expected a token id, a whole number from 0",
                   tokens.size(), shown(item));
        tokens.push_back(token);
    }
    return tokens;
}

void read_input(const Json& line, Request& request, Purpose purpose) {
    const std::vector<std::string_view> inputs = inputs_of(purpose);
    std::vector<std::string_view> given;
    std::copy_if(inputs.begin(), inputs.end(), std::back_inserter(given),
                 [&](std::string_view name) { return line.contains(name); });
    if (given.empty()) refuse("no_prompt", "expected one of {}", fmt::join(inputs, ", "));
    if (given.size() > 1) refuse("two_prompts", "{} given: expected one of them", fmt::join(given, " and "));
    const Json& value = line[std::string(given.front())];
    if (given.front() == "messages")
        request.input = read_messages(value);
    else if (given.front() == "tokens")
        request.input = read_tokens(value);
    else
        request.input = read_text(value, given.front(), "bad_prompt", "empty_prompt");
    if (line.contains("completion"))
        request.completion =
            read_text(line["completion"], "completion", "bad_completion", "empty_completion");
}

// ---- the line ----

void check_keys(const std::vector<JsonMember>& members, Purpose purpose) {
    std::vector<std::string_view> known = inputs_of(purpose);
    known.insert(known.begin(), "id");
    if (purpose == Purpose::Score) known.push_back("completion");
    for (const Option& option : kOptions) known.push_back(option.name);
    known.push_back("meta");
    std::set<std::string> seen;
    for (const JsonMember& member : members) {
        const std::string key = Json::parse(member.key);
        if (std::find(known.begin(), known.end(), key) == known.end())
            refuse("unknown_key", "unknown key {} (known: {})", shown(key), fmt::join(known, ", "));
        if (!seen.insert(key).second) refuse("repeated_key", "the key {} is given twice", shown(key));
    }
}

void read_id(const Json& line, Request& request) {
    const auto found = line.find("id");
    if (found == line.end()) return;
    if (!found->is_string() && !found->is_number_integer())
        refuse("bad_id", "id is {}: expected a string or a whole number of 64 bits", shown(*found));
    request.id_json = dump(*found);
    request.id = found->is_string() ? found->get<std::string>() : request.id_json;
}

// In an order that gives an error record as much as can be known of its line: the id, then meta.
void read_line(std::string_view text, Request& request, Purpose purpose) {
    if (!is_valid_utf8(text)) refuse("bad_utf8", "not valid UTF-8");
    Json line;
    try {
        line = parse_json(text, "line", ExitCode::File);
    } catch (const Error& problem) {
        refuse("bad_json", "{}", clip_utf8(repair_utf8(problem.what()), kMessageBytes));
    }
    if (!line.is_object()) refuse("bad_json", "expected an object, found {}", shown(line));
    const std::vector<JsonMember> members = json_members(text);
    read_id(line, request);
    for (const JsonMember& member : members) {
        if (Json::parse(member.key) == "meta") request.meta_json = compact_json(member.value);
    }
    check_keys(members, purpose);
    read_input(line, request, purpose);
    read_options(line, request.sampling);
}

Request blank_request(const std::string& where, const Sampling& defaults) {
    Request request;
    request.id = request.where = where;
    request.id_json = to_json_string(where);
    request.sampling = defaults;
    return request;
}

}  // namespace

std::string to_json_string(std::string_view text) { return dump(Json(text)); }

std::string to_json(const RequestError& error) {
    return fmt::format(R"({{"code":{},"message":{}}})", to_json_string(error.code),
                       to_json_string(error.message));
}

std::optional<RequestError> check(const Sampling& sampling) {
    const auto bad = [](std::string_view name, const auto& value) {
        return RequestError{"bad_option",
                            fmt::format("{} is {}: expected {}", name, value, option(name).wants)};
    };
    if (sampling.max_new_tokens < 1) return bad("max_new_tokens", sampling.max_new_tokens);
    if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
        return bad("temperature", sampling.temperature);
    if (sampling.top_k < 0) return bad("top_k", sampling.top_k);
    if (!(sampling.top_p > 0 && sampling.top_p <= 1)) return bad("top_p", sampling.top_p);
    if (!(sampling.min_p >= 0 && sampling.min_p <= 1)) return bad("min_p", sampling.min_p);
    if (!std::isfinite(sampling.repetition_penalty) || sampling.repetition_penalty <= 0)
        return bad("repetition_penalty", sampling.repetition_penalty);
    for (const std::string& stop : sampling.stop) {
        if (stop.empty()) return bad("stop", "\"\"");
    }
    if (sampling.logprobs < 0 || sampling.logprobs > kMostLogprobs) return bad("logprobs", sampling.logprobs);
    return std::nullopt;
}

RequestError error_at(const std::string& where, std::string code, std::string_view what) {
    return {std::move(code), fmt::format("{}: {}", where, what)};
}

FailedRequest failed_request(const Request& request, RequestError error) {
    return {request.id,        request.id_json, request.where, std::move(error),
            request.meta_json, request.ordinal, request.api,   request.api_model};
}

FailedRequest failed_line(const std::string& where, std::string code, std::string_view what) {
    return {where, to_json_string(where), where, error_at(where, std::move(code), what)};
}

ParsedLine parse_txt_line(std::string_view line, const std::string& where, const Sampling& defaults) {
    if (!is_valid_utf8(line)) return failed_line(where, "bad_utf8", "not valid UTF-8");
    Request request = blank_request(where, defaults);
    request.input = std::string(line);
    return request;
}

ParsedLine parse_jsonl_line(std::string_view line, const std::string& where, const Sampling& defaults,
                            Purpose purpose) {
    Request request = blank_request(where, defaults);
    try {
        read_line(line, request, purpose);
    } catch (Refusal& refusal) {
        RequestError error = error_at(where, std::move(refusal.code), refusal.what);
        return failed_request(request, std::move(error));
    }
    return request;
}

}  // namespace sluice
