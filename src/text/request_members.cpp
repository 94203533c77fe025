#include "text/request_members.hpp"

#include "core/json.hpp"
#include "text/line_refusal.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <climits>
#include <unordered_set>

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 80;     // of a value, in a message
constexpr std::size_t kMessageBytes = 400;  // of what the JSON parser says: it quotes the text it stopped at

bool is_one_of(std::string_view key, const std::vector<std::string_view>& keys) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool is_empty(const Json& value) { return value.is_null() || (value.is_array() && value.empty()); }

void check_message_keys(const Json& message, const std::string& name, MessageStyle style) {
    for (const auto& [key, value] : message.items()) {
        if (key == "role" || key == "content") continue;
        if (style == MessageStyle::OpenAi && (key == "name" || is_empty(value))) continue;
        refuse("unknown_key", "{} has the key {}: expected role and content only", name, shown(key));
    }
}

// The texts of a list of {"type": "text", "text": ...}.
std::string join_parts(const Json& parts, const std::string& name) {
    std::string joined;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const Json& part = parts[i];
        if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text") ||
            !part["text"].is_string())
            refuse("bad_messages", R"({}[{}] is {}: expected {{"type": "text", "text": a string}})", name, i,
                   shown(part));
        joined += part["text"].get_ref<const std::string&>();
    }
    return joined;
}

std::string read_content(const Json& content, const std::string& name, MessageStyle style) {
    if (content.is_array() && style == MessageStyle::OpenAi) return join_parts(content, name);
    if (!content.is_string())
        refuse("bad_messages", "{} is {}: expected a string{}", name, shown(content),
               style == MessageStyle::OpenAi ? " or a list of texts" : "");
    return content;
}

std::string read_role(const Json& role, const std::string& name, MessageStyle style) {
    if (!role.is_string()) refuse("bad_messages", "{} is {}: expected a string", name, shown(role));
    const bool openai = style == MessageStyle::OpenAi;
    if (openai && role == "developer") return "system";
    if (role != "system" && role != "user" && role != "assistant")
        refuse("unknown_role", "{} is {}: expected system, {}user or assistant", name, shown(role),
               openai ? "developer, " : "");
    return role;
}

Message read_message(const Json& value, const std::string& name, MessageStyle style) {
    if (!value.is_object()) refuse("bad_messages", "{} is {}: expected an object", name, shown(value));
    check_message_keys(value, name, style);
    for (const char* key : {"role", "content"}) {
        if (!value.contains(key)) refuse("bad_messages", "{} has no {}", name, key);
    }
    return {read_role(value["role"], name + ".role", style),
            read_content(value["content"], name + ".content", style)};
}

// A list with something in it.
void require_list(const Json& value, std::string_view name, const char* bad) {
    if (!value.is_array()) refuse(bad, "{} is {}: expected a list", name, shown(value));
    if (value.empty()) refuse("empty_prompt", "{} is an empty list", name);
}

bool is_token(const Json& value) {
    return value.is_number_unsigned() && value.get<std::uint64_t>() <= INT_MAX;
}

}  // namespace

std::string shown(const Json& value) {
    return clip_utf8(value.dump(-1, ' ', false, Json::error_handler_t::replace), kShownBytes);
}

Json parse_object(std::string_view line) {
    if (!is_valid_utf8(line)) refuse("bad_utf8", "not valid UTF-8");
    // The parser would take it for the end of the text.
    const std::size_t nul = line.find('\0');
    if (nul != std::string_view::npos) refuse("bad_json", "byte {} of the line is NUL", nul);
    Json object;
    try {
        object = parse_json(line, "line", ExitCode::File);
    } catch (const Error& problem) {
        refuse("bad_json", "{}", clip_utf8(repair_utf8(problem.what()), kMessageBytes));
    }
    if (!object.is_object()) refuse("bad_json", "expected an object, found {}", shown(object));
    return object;
}

void check_keys(const std::vector<JsonMember>& members, const std::vector<std::string_view>& known,
                const std::vector<std::string_view>& passed_over) {
    std::unordered_set<std::string> seen;
    for (const JsonMember& member : members) {
        const std::string key = key_of(member);
        if (!is_one_of(key, known) && !is_one_of(key, passed_over))
            refuse("unknown_key", "unknown key {} (known: {})", shown(key), fmt::join(known, ", "));
        if (!seen.insert(key).second) refuse("repeated_key", "the key {} is given twice", shown(key));
    }
}

std::string read_text(const Json& value, std::string_view name, const char* bad, const char* empty) {
    if (!value.is_string()) refuse(bad, "{} is {}: expected a string", name, shown(value));
    if (value.get_ref<const std::string&>().empty()) refuse(empty, "{} is empty", name);
    return value;
}

std::vector<Token> read_tokens(const Json& value, std::string_view name) {
    require_list(value, name, "bad_tokens");
    std::vector<Token> tokens;
    tokens.reserve(value.size());
    for (const Json& item : value) {
        if (!is_token(item))
            refuse("bad_tokens", "{}[{}] is {}: expected a token id, a whole number from 0", name,
                   tokens.size(), shown(item));
        tokens.push_back(item.get<Token>());
    }
    return tokens;
}

std::vector<Message> read_messages(const Json& value, std::string_view name, MessageStyle style) {
    require_list(value, name, "bad_messages");
    std::vector<Message> messages;
    messages.reserve(value.size());
    for (const Json& item : value)
        messages.push_back(read_message(item, fmt::format("{}[{}]", name, messages.size()), style));
    return messages;
}

}  // namespace sluice
