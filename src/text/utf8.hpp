// UTF-8 (RFC 3629), strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

bool is_valid_utf8(std::string_view text);

// The bytes of the character that starts at `text[at]` (1 to 4); 0 when none does.
std::size_t utf8_length_at(std::string_view text, std::size_t at);

// Each byte that belongs to no character becomes U+FFFD.
std::string repair_utf8(std::string_view text);

// At most `max_bytes` of valid `text`, cut between characters; "..." marks a cut.
std::string clip_utf8(std::string_view text, std::size_t max_bytes);

}  // namespace sluice
