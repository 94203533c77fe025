#include "text/jinja/python_text.hpp"

#include "text/jinja/meter.hpp"
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

// Where str.splitlines() cuts.
bool ends_line(std::string_view character) {
    const char32_t c = take_utf8(character);
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::string_view first_of(std::string_view text) { return text.substr(0, utf8_step(text).length); }

std::string_view last_of(std::string_view text) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80) --begin;
    return text.substr(begin);
}

template <class Predicate>
std::string_view without_first(std::string_view text, Predicate goes) {
    while (!text.empty() && goes(first_of(text))) text.remove_prefix(first_of(text).size());
    return text;
}

std::vector<std::string_view> split_at_blanks(std::string_view text, std::int64_t most) {
    std::vector<std::string_view> parts;
    for (text = without_first(text, is_blank); !text.empty(); text = without_first(text, is_blank)) {
        if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
            parts.push_back(text);
            break;
        }
        const std::string_view rest = without_first(text, [](std::string_view c) { return !is_blank(c); });
        parts.push_back(text.substr(0, text.size() - rest.size()));
        text = rest;
    }
    return parts;
}

void require_separator(std::string_view separator) {
    if (separator.empty()) throw EvaluationError("split: the separator is empty");
}

}  // namespace

std::vector<std::string_view> characters_of(std::string_view text) {
    std::vector<std::string_view> characters;
    for (; !text.empty(); text.remove_prefix(characters.back().size())) characters.push_back(first_of(text));
    return characters;
}

std::size_t count_characters(std::string_view text) {
    std::size_t count = 0;
    for (; !text.empty(); text.remove_prefix(first_of(text).size())) ++count;
    return count;
}

std::string_view part_of(std::string_view text, std::size_t begin, std::size_t end) {
    for (std::size_t i = 0; i < begin && !text.empty(); ++i) text.remove_prefix(first_of(text).size());
    std::string_view rest = text;
    for (std::size_t i = begin; i < end && !rest.empty(); ++i) rest.remove_prefix(first_of(rest).size());
    return text.substr(0, text.size() - rest.size());
}

std::string_view strip(std::string_view text, std::optional<std::string_view> set, Ends ends) {
    const std::vector<std::string_view> members = characters_of(set.value_or(""));
    const auto goes = [&](std::string_view character) {
        return set ? std::find(members.begin(), members.end(), character) != members.end()
                   : is_blank(character);
    };
    if (ends != Ends::Right) text = without_first(text, goes);
    if (ends != Ends::Left) {
        while (!text.empty() && goes(last_of(text))) text.remove_suffix(last_of(text).size());
    }
    return text;
}

std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator,
                                    std::int64_t most) {
    if (!separator) return split_at_blanks(text, most);
    require_separator(*separator);
    std::vector<std::string_view> parts;
    while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
        const std::size_t at = text.find(*separator);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at + separator->size());
    }
    parts.push_back(text);
    return parts;
}

std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               std::int64_t most) {
    require_separator(separator);
    std::vector<std::string_view> parts;
    while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
        const std::size_t at = text.rfind(separator);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(at + separator.size()));
        text = text.substr(0, at);
    }
    parts.push_back(text);
    std::reverse(parts.begin(), parts.end());
    return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        std::string_view rest = without_first(text, [](std::string_view c) { return !ends_line(c); });
        lines.push_back(text.substr(0, text.size() - rest.size()));
        if (rest.starts_with("\r\n")) rest.remove_prefix(1);
        if (!rest.empty()) rest.remove_prefix(first_of(rest).size());
        text = rest;
    }
    return lines;
}

std::size_t occurrences(std::string_view text, std::string_view part) {
    if (part.empty()) return count_characters(text) + 1;
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at)) {
        ++count;
        at += part.size();
    }
    return count;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most) {
    std::string result;
    for (std::int64_t done = 0; most < 0 || done < most; ++done) {
        // An empty `from` is found before every character and at the end.
        const std::size_t at = from.empty() ? (done == 0      ? 0
                                               : text.empty() ? std::string_view::npos
                                                              : 1)
                                            : text.find(from);
        if (at == std::string_view::npos) break;
        const std::size_t kept = from.empty() && done > 0 ? first_of(text).size() : at;
        result.append(text.substr(0, kept)).append(to);
        text.remove_prefix(kept + from.size());
    }
    return result.append(text);
}

std::string to_case(std::string_view text, Case wanted) {
    std::string result(text);
    for (char& c : result) {
        if (static_cast<unsigned char>(c) >= 0x80)
            throw EvaluationError(
                "the case of letters beyond ASCII is not supported, and this text has some");
        const bool is_upper = c >= 'A' && c <= 'Z';
        const bool is_letter = is_upper || (c >= 'a' && c <= 'z');
        const bool up = wanted == Case::Upper || (wanted == Case::Capitalized && &c == result.data());
        if (is_letter && up != is_upper) c = static_cast<char>(c ^ 0x20);
    }
    return result;
}

}  // namespace sluice::jinja
