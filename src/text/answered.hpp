// What one line of an output answers.
#pragma once

#include "text/request.hpp"
#include "text/score.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// A completion carries its request's meta (up to a prompt line's 64 MiB) beside its own text.
inline constexpr std::size_t kMostAnswerBytes = std::size_t{1} << 30;

struct Answered {
    std::string id_json;
    std::optional<int> index;  // of its request's n completions, this one; none: all of them
    std::optional<RequestError> error;
    ScoreTotals scores;  // of a score

    // No two lines of an output have the same. The first request of an id is answered under the id, or by a
    // line for each index; each repetition by a duplicate_id record, whose message names its own FILE:LINE.
    std::string key() const;
};

// The key of a request's completion `index`, for an output that answers each alone.
std::string key_of(const std::string& id_json, int index);
// The key of an error record for the line with this id.
std::string key_of(const std::string& id_json, const RequestError& error);

// A line of jsonl, of scores or of the Batch API's responses. Errors: ExitCode::File (without the line's
// place) when it is no JSON; none when it is, but no answer.
std::optional<Answered> parse_answered(std::string_view line);

}  // namespace sluice
