// Decoding UTF-8. An ill-formed sequence is cut into maximal subparts, each of which one U+FFFD replaces, as
// the Unicode standard recommends and as Rust's String::from_utf8_lossy does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

enum class Utf8State {
    Valid,       // one whole character
    Invalid,     // a maximal subpart of an ill-formed sequence
    Incomplete,  // all that is left is a proper prefix of a character
};

struct Utf8Step {
    std::size_t length;  // bytes, at least 1
    Utf8State state;
};

// What stands at the start of `bytes`, which must not be empty.
Utf8Step utf8_step(std::string_view bytes);

// Appends `bytes` to `text`; ill-formed parts become U+FFFD, one for each, or (`each_byte`) one for each of
// their bytes. Returns how many bytes at the end were left out because they are a proper prefix of a
// character.
std::size_t append_complete_utf8(std::string_view bytes, std::string& text, bool each_byte = false);

// Appends what stands for an ill-formed part of `size` bytes; nothing for size 0.
void append_replacement(std::size_t size, std::string& text, bool each_byte);

// The offset of the first ill-formed byte; npos when `bytes` is UTF-8.
std::size_t find_invalid_utf8(std::string_view bytes);

// Appends the UTF-8 of a code point (at most U+10FFFF).
void append_utf8(char32_t code_point, std::string& text);

// Splits one character off the front of `text`, which must be UTF-8 and not empty.
char32_t take_utf8(std::string_view& text);

}  // namespace sluice
