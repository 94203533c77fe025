// Python's str methods on UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

std::vector<std::string_view> characters_of(std::string_view text);
std::size_t count_characters(std::string_view text);

// text[begin:end] in characters, 0 <= begin <= end.
std::string_view part_of(std::string_view text, std::size_t begin, std::size_t end);

// Which ends strip() works on.
enum class Ends { Both, Left, Right };

// Takes blanks off, or the characters of `set` when it is given.
std::string_view strip(std::string_view text, std::optional<std::string_view> set, Ends ends);

// str.split: at runs of blanks without a separator (which must not be empty); at most `most` cuts, < 0: all.
std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator,
                                    std::int64_t most);
// str.rsplit with a separator: the cuts are counted from the end.
std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               std::int64_t most);
std::vector<std::string_view> split_lines(std::string_view text);

// How often `part` occurs in `text`, from left to right without overlaps; an empty one around every
// character.
std::size_t occurrences(std::string_view text, std::string_view part);

// str.replace: the first `most` occurrences, < 0: all.
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);

enum class Case { Upper, Lower, Capitalized };

// ASCII letters only. Refuses (EvaluationError) text with others, whose case rules this program does not
// know.
std::string to_case(std::string_view text, Case wanted);

}  // namespace sluice::jinja
