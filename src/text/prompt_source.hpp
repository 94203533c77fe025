// A stream of requests, and the stages that it passes through.
#pragma once

#include "text/partition.hpp"
#include "text/request.hpp"

#include <memory>
#include <optional>
#include <string>

namespace sluice {

class PromptSource {
public:
    virtual ~PromptSource() = default;
    // The next line that asks for something; none at the end. Errors: ExitCode::File when reading fails.
    virtual std::optional<ParsedLine> next() = 0;
    // Whether next() answers without waiting, or will within `milliseconds`. It may be false although more is
    // there: a while is spent on what asks for nothing, and then the caller is asked again.
    virtual bool ready(int milliseconds) = 0;
};

// An id that came before becomes the error duplicate_id. Keeps the hash of each id.
std::unique_ptr<PromptSource> with_unique_ids(std::unique_ptr<PromptSource> lines);

// The lines of a part, errors among them.
std::unique_ptr<PromptSource> part_of(std::unique_ptr<PromptSource> lines, Partition partition);

// A request for n completions as n requests, in a row, with index 0 to n - 1; for more than
// `most_completions`, as the error bad_option.
std::unique_ptr<PromptSource> one_by_one(std::unique_ptr<PromptSource> lines,
                                         int most_completions = kMostCompletions);

// What is wrong with an n above PromptOptions::most_completions.
std::string too_many_completions(int n);

}  // namespace sluice
