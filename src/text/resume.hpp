// What a completion file already answers, so that a run can go on where another stopped.
#pragma once

#include "text/answer_lines.hpp"
#include "text/answered.hpp"
#include "text/id_ledger.hpp"
#include "text/prompt_file.hpp"
#include "text/request.hpp"
#include "text/score.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>

namespace sluice {

// Each line of a prompt file is answered once: by its key (Answered::key), in whatever order the answers
// came; or, where lines have no ids, by its place.
class Finished {
public:
    void add(const Answered& answered);
    void add_next(bool error);  // the answer to the first request that has none
    bool has(const ParsedLine& line) const;

    std::int64_t lines() const { return lines_; }
    std::int64_t requests() const { return requests_; }    // however many completions each has
    std::int64_t errors() const { return errors_; }        // how many of them are error records
    std::int64_t leading() const { return leading_; }      // how many requests are answered by place
    const ScoreTotals& scores() const { return scores_; }  // of all of them that are scores

private:
    IdLedger answers_;
    std::int64_t lines_ = 0;
    std::int64_t requests_ = 0;
    std::int64_t errors_ = 0;
    std::int64_t leading_ = 0;
    ScoreTotals scores_;
};

// Reads the completion file at `path` line by line, and cuts off a last line that is torn: without its
// newline, or no valid JSON. Errors: ExitCode::File for any other line that is no answer, with its number;
// then the file stays as it was. A score is an answer here. Formats other than Txt tell their lines apart by
// themselves.
Finished scan_completions(const std::filesystem::path& path, OutputFormat format = OutputFormat::AsAsked);

// `lines` without those that are finished; what is left gets the ordinals 0, 1, 2, ...
std::unique_ptr<PromptSource> skip_finished(std::unique_ptr<PromptSource> lines, Finished finished);

}  // namespace sluice
