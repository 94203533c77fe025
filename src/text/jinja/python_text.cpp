#include "text/jinja/python_text.hpp"

#include "text/jinja/value.hpp"
#include "text/utf8_decode.hpp"

#include <algorithm>

namespace sluice::jinja {
namespace {

// str.isspace()
bool is_blank(std::string_view character) {
    const char32_t c = take_utf8(character);
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

std::string join(const std::vector<std::string>& characters, std::size_t begin, std::size_t end) {
    std::string text;
    for (std::size_t i = begin; i < end; ++i) text += characters[i];
    return text;
}

std::vector<std::string> split_at_blanks(std::string_view text, std::int64_t most) {
    const std::vector<std::string> characters = characters_of(text);
    std::vector<std::string> parts;
    const std::size_t size = characters.size();
    std::size_t at = 0;
    while (true) {
        while (at < size && is_blank(characters[at])) ++at;
        if (at == size) return parts;
        if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
            parts.push_back(join(characters, at, size));
            return parts;
        }
        const std::size_t begin = at;
        while (at < size && !is_blank(characters[at])) ++at;
        parts.push_back(join(characters, begin, at));
    }
}

}  // namespace

std::vector<std::string> characters_of(std::string_view text) {
    std::vector<std::string> characters;
    while (!text.empty()) {
        const std::size_t length = utf8_step(text).length;
        characters.emplace_back(text.substr(0, length));
        text.remove_prefix(length);
    }
    return characters;
}

std::string strip(std::string_view text, std::optional<std::string_view> set, Ends ends) {
    const std::vector<std::string> characters = characters_of(text);
    const std::vector<std::string> members = characters_of(set.value_or(""));
    const auto goes = [&](const std::string& character) {
        if (!set) return is_blank(character);
        return std::find(members.begin(), members.end(), character) != members.end();
    };
    std::size_t begin = 0;
    std::size_t end = characters.size();
    if (ends != Ends::Right) {
        while (begin < end && goes(characters[begin])) ++begin;
    }
    if (ends != Ends::Left) {
        while (end > begin && goes(characters[end - 1])) --end;
    }
    return join(characters, begin, end);
}

std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               std::int64_t most) {
    if (!separator) return split_at_blanks(text, most);
    if (separator->empty()) throw TemplateRefusal("split: the separator is empty");
    std::vector<std::string> parts;
    while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
        const std::size_t at = text.find(*separator);
        if (at == std::string_view::npos) break;
        parts.emplace_back(text.substr(0, at));
        text.remove_prefix(at + separator->size());
    }
    parts.emplace_back(text);
    return parts;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
    std::string result;
    if (from.empty()) {  // Python puts `to` around every character
        for (const std::string& character : characters_of(text)) result.append(to).append(character);
        return result.append(to);
    }
    for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
        result.append(text.substr(0, at)).append(to);
        text.remove_prefix(at + from.size());
    }
    return result.append(text);
}

std::string to_case(std::string_view text, bool upper) {
    std::string result(text);
    for (char& c : result) {
        if (static_cast<unsigned char>(c) >= 0x80) {
            throw TemplateRefusal(
                "upper and lower work on ASCII text only, and this text has other characters");
        }
        const bool other_case = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
        if (other_case) c = static_cast<char>(c ^ 0x20);
    }
    return result;
}

}  // namespace sluice::jinja
