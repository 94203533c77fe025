// Readers of what a line's JSON may hold, for our own lines and the Batch API's alike. What is wrong is
// thrown as a LineRefusal.
#pragma once

#include "text/json_members.hpp"
#include "text/request.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// `value` as text for a message, cut short.
std::string shown(const nlohmann::json& value);

// The object that `line` is. Refusals: bad_utf8, bad_json.
nlohmann::json parse_object(std::string_view line);

// Every key must be one of `known`, or of `passed_over`, and come once. Refusals: unknown_key, which lists
// `known`, and repeated_key.
void check_keys(const std::vector<JsonMember>& members, const std::vector<std::string_view>& known,
                const std::vector<std::string_view>& passed_over = {});

// A string that is not empty. `bad` and `empty` are the codes of the refusals.
std::string read_text(const nlohmann::json& value, std::string_view name, const char* bad, const char* empty);

// Token ids. Refusals: bad_tokens, empty_prompt.
std::vector<Token> read_tokens(const nlohmann::json& value, std::string_view name);

// OpenAi: content may be a list of texts, which are joined; `developer` means `system`; a name, and what is
// null or an empty list, is passed over.
enum class MessageStyle { Own, OpenAi };

// Refusals: bad_messages, unknown_role, unknown_key, empty_prompt.
std::vector<Message> read_messages(const nlohmann::json& value, std::string_view name,
                                   MessageStyle style = MessageStyle::Own);

}  // namespace sluice
