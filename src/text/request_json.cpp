#include "text/request_json.hpp"

#include "core/json.hpp"
#include "text/json_members.hpp"
#include "text/line_refusal.hpp"
#include "text/request_members.hpp"
#include "text/request_openai.hpp"
#include "text/sampling_json.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

using Members = std::vector<JsonMember>;

// ---- our own lines ----

std::vector<std::string_view> inputs_of(Purpose purpose) {
    if (purpose == Purpose::Score) return {"text", "prompt", "messages", "tokens"};
    return {"prompt", "messages", "tokens"};
}

void check_own_keys(const Members& members, Purpose purpose) {
    std::vector<std::string_view> known = inputs_of(purpose);
    known.insert(known.begin(), "id");
    if (purpose == Purpose::Score) known.push_back("completion");
    for (const std::string_view name : sampling_names()) known.push_back(name);
    known.push_back("meta");
    check_keys(members, known);
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
        request.input = read_messages(value, "messages");
    else if (given.front() == "tokens")
        request.input = read_tokens(value, "tokens");
    else
        request.input = read_text(value, given.front(), "bad_prompt", "empty_prompt");
    if (line.contains("completion"))
        request.completion =
            read_text(line["completion"], "completion", "bad_completion", "empty_completion");
}

void read_sampling(const Json& line, Request& request, Purpose purpose) {
    for (const std::string_view name : sampling_names()) {
        const auto found = line.find(name);
        if (found != line.end()) read_option(*found, name, name, request.sampling);
    }
    if (purpose == Purpose::Score && request.sampling.n != 1)
        refuse("bad_option", "n is {}: expected 1, for a text is scored once", request.sampling.n);
}

// ---- somebody's data set ----

void check_read_once(const Members& members, const std::string& field) {
    for (const std::string_view name :
         {std::string_view("id"), std::string_view("meta"), std::string_view(field)}) {
        const auto count = std::count_if(members.begin(), members.end(),
                                         [&](const JsonMember& member) { return key_of(member) == name; });
        if (count > 1) refuse("repeated_key", "the key {} is given twice", shown(name));
    }
}

void read_field(const Json& line, const std::string& field, Request& request) {
    const auto found = line.find(field);
    if (found == line.end()) refuse("no_prompt", "the line has no {}", shown(field));
    const std::string name = clip_utf8(repair_utf8(field), 80);
    if (!found->is_array())
        request.input = read_text(*found, name, "bad_prompt", "empty_prompt");
    else if (!found->empty() && found->front().is_object())
        request.input = read_messages(*found, name);
    else
        request.input = read_tokens(*found, name);
}

// ---- the line ----

void read_id(const Json& line, Request& request) {
    const auto found = line.find("id");
    if (found == line.end()) return;
    if (!found->is_string() && !found->is_number_integer())
        refuse("bad_id", "id is {}: expected a string or a whole number of 64 bits", shown(*found));
    request.id_json = found->dump();
    request.id = found->is_string() ? found->get<std::string>() : request.id_json;
}

bool is_batch_line(const Json& line, const PromptOptions& options) {
    if (options.format == PromptFormat::OpenAi) return true;
    return options.format == PromptFormat::Auto && options.field.empty() &&
           options.purpose == Purpose::Generate && line.contains("custom_id");
}

// In an order that gives an error record as much as can be known of its line: the id, then meta.
void read_line(std::string_view text, Request& request, const PromptOptions& options) {
    const Json line = parse_object(text);
    const Members members = json_members(text);
    if (is_batch_line(line, options)) return read_openai(line, members, request);
    read_id(line, request);
    for (const JsonMember& member : members) {
        if (key_of(member) == "meta") request.meta_json = compact_json(member.value);
    }
    if (!options.field.empty()) {
        check_read_once(members, options.field);
        return read_field(line, options.field, request);
    }
    check_own_keys(members, options.purpose);
    read_input(line, request, options.purpose);
    read_sampling(line, request, options.purpose);
}

Request blank_request(const std::string& where, const Sampling& defaults) {
    Request request;
    request.id = request.where = where;
    request.id_json = to_json_string(where);
    request.sampling = defaults;
    return request;
}

FailedRequest refused(const Request& request, LineRefusal refusal) {
    return failed_request(request, error_at(request.where, std::move(refusal.code), refusal.what));
}

}  // namespace

std::string to_json_string(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json(const RequestError& error) {
    return fmt::format(R"({{"code":{},"message":{}}})", to_json_string(error.code),
                       to_json_string(error.message));
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
    // No text has one; a file that does is none, or was torn.
    const std::size_t nul = line.find('\0');
    if (nul != std::string_view::npos)
        return failed_line(where, "nul_byte", fmt::format("byte {} of the line is NUL", nul));
    Request request = blank_request(where, defaults);
    request.input = std::string(line);
    return request;
}

ParsedLine parse_json_line(std::string_view line, const std::string& where, const PromptOptions& options) {
    Request request = blank_request(where, options.defaults);
    if (options.format == PromptFormat::OpenAi) request.api = Api::Chat;
    try {
        read_line(line, request, options);
    } catch (LineRefusal& refusal) {
        return refused(request, std::move(refusal));
    }
    return request;
}

}  // namespace sluice
