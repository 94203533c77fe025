// Python's str methods on UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

std::vector<std::string> characters_of(std::string_view text);

// Which ends strip() works on.
enum class Ends { Both, Left, Right };

// Takes blanks off, or the characters of `set` when it is given.
std::string strip(std::string_view text, std::optional<std::string_view> set, Ends ends);

// str.split: at runs of blanks without a separator (which must not be empty); at most `most` cuts, < 0: all.
std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               std::int64_t most);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// ASCII letters only. Refuses (TemplateRefusal) text with others, whose case rules this program does not
// know.
std::string to_case(std::string_view text, bool upper);

}  // namespace sluice::jinja
