// The members of a JSON object as they are written: a parsed number may have lost digits, and a parsed object
// does not tell that a key came twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct JsonMember {
    std::string_view key;    // as written, with its quotes and escapes
    std::string_view value;  // as written
};

// The members of `object`, text that a JSON parser has accepted as an object. Views into `object`.
std::vector<JsonMember> json_members(std::string_view object);

// The member's key as text.
std::string key_of(const JsonMember& member);

// Valid JSON without the white space between its tokens.
std::string compact_json(std::string_view text);

}  // namespace sluice
