// One line of a prompt file to a request, or to the error record that answers it.
#pragma once

#include "text/prompt_options.hpp"
#include "text/request.hpp"

#include <string>
#include <string_view>

namespace sluice {

// `text` as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD.
std::string to_json_string(std::string_view text);

// {"code":...,"message":...}
std::string to_json(const RequestError& error);

// `where` is the line's FILE:LINE. No line end in `line`. What is wrong with a line is data, never an
// exception.
ParsedLine parse_txt_line(std::string_view line, const std::string& where, const Sampling& defaults);

// Any format of options but Txt. A line that is to be scored may call its prompt `text`, and have a
// `completion`.
ParsedLine parse_json_line(std::string_view line, const std::string& where, const PromptOptions& options);

// The failure of the line at `where`, of which nothing is known but its place.
FailedRequest failed_line(const std::string& where, std::string code, std::string_view what);

// The failure of a line that could be read.
FailedRequest failed_request(const Request& request, RequestError error);

// The FILE:LINE of error messages comes first.
RequestError error_at(const std::string& where, std::string code, std::string_view what);

}  // namespace sluice
