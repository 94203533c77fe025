#include "text/json_members.hpp"

#include "core/json.hpp"

#include <cstddef>

namespace sluice {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

// The index after the string that starts at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
    for (++at; text[at] != '"'; ++at) {
        if (text[at] == '\\') ++at;
    }
    return at + 1;
}

// The index after the value that starts at `at`.
std::size_t skip_value(std::string_view text, std::size_t at) {
    if (text[at] == '"') return skip_string(text, at);
    if (text[at] != '{' && text[at] != '[') return text.find_first_of(",}] \t\r\n", at);
    int depth = 0;
    do {
        const char c = text[at];
        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        ++at;
    } while (depth > 0);
    return at;
}

}  // namespace

std::vector<JsonMember> json_members(std::string_view object) {
    std::vector<JsonMember> members;
    std::size_t at = object.find_first_not_of(kBlank, object.find('{') + 1);
    while (object[at] != '}') {
        if (object[at] == ',') at = object.find_first_not_of(kBlank, at + 1);
        const std::size_t key_end = skip_string(object, at);
        const std::string_view key = object.substr(at, key_end - at);
        at = object.find_first_not_of(kBlank, object.find(':', key_end) + 1);
        const std::size_t value_end = skip_value(object, at);
        members.push_back({key, object.substr(at, value_end - at)});
        at = object.find_first_not_of(kBlank, value_end);
    }
    return members;
}

std::string key_of(const JsonMember& member) {
    if (member.key.find('\\') != std::string_view::npos) return Json::parse(member.key);
    return std::string(member.key.substr(1, member.key.size() - 2));
}

std::string compact_json(std::string_view text) {
    std::string compact;
    compact.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text[at] == '"' ? skip_string(text, at) : at + 1;
        if (kBlank.find(text[at]) == std::string_view::npos) compact += text.substr(at, end - at);
        at = end;
    }
    return compact;
}

}  // namespace sluice
