// Lines of the OpenAI Batch API:
// {"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}
#pragma once

#include "text/json_members.hpp"
#include "text/request.hpp"

#include <nlohmann/json_fwd.hpp>

#include <vector>

namespace sluice {

// Reads the object `line`, whose members as written are `members`. `request` comes with the defaults of the
// command line, which count for what the body leaves out: the API's own do not. What is wrong is thrown as a
// LineRefusal, and `request` then holds what could be read before.
void read_openai(const nlohmann::json& line, const std::vector<JsonMember>& members, Request& request);

}  // namespace sluice
