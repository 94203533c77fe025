// The formats of a completion file, and the lines of each.
#pragma once

#include "text/completion.hpp"

#include <span>
#include <string>
#include <string_view>

namespace sluice {

enum class OutputFormat {
    AsAsked,  // a line of an API is answered by that API's response line, any other by jsonl
    Jsonl,
    OpenAi,  // the Batch API's response lines
    Txt,     // a completion a line, without its id: the order says what it answers
};

std::string_view name_of(OutputFormat format);  // "as_asked", "jsonl", "openai", "txt"

// The API whose response line answers a request of the API `asked`. None: a line of another format.
Api shape_of(Api asked, OutputFormat format);

// The line, without its newline, of what `choices` hold: one completion; where shape_of gives an API, all of
// their request's, in the order of their index. What is not UTF-8 becomes U+FFFD.
std::string answer_line(std::span<const Completion> choices, OutputFormat format);

// How a line of txt begins that is an error record. No completion's line does: each backslash is doubled but
// in \n and \r.
inline constexpr std::string_view kTxtError = "\\error ";

}  // namespace sluice
