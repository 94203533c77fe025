// What a completion file already answers, so that a run can go on where another stopped.
#pragma once

#include "text/id_ledger.hpp"
#include "text/prompt_file.hpp"
#include "text/request.hpp"
#include "text/score.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>

namespace sluice {

// Each line of a prompt file has one answer. The first line with an id is answered under that id; each
// repetition by a duplicate_id record, whose message names its own FILE:LINE. So repetitions are told apart,
// in whatever order they were answered.
class Finished {
public:
    // `error`: the line's error, or none.
    void add(const std::string& id_json, const RequestError* error);
    void add(const ScoreTotals& score) { scores_ += score; }
    bool has(const ParsedLine& line) const;

    std::int64_t lines() const { return lines_; }
    std::int64_t errors() const { return errors_; }        // how many of them are error records
    const ScoreTotals& scores() const { return scores_; }  // of all of them that are scores

private:
    IdLedger answers_;
    std::int64_t lines_ = 0;
    std::int64_t errors_ = 0;
    ScoreTotals scores_;
};

// Reads the completion file at `path` line by line, and cuts off a last line that is torn: without its
// newline, or no valid JSON. Errors: ExitCode::File for any other line that is no completion, with its
// number; then the file stays as it was. A score is a completion here.
Finished scan_completions(const std::filesystem::path& path);

// `lines` without those that are finished.
std::unique_ptr<PromptSource> skip_finished(std::unique_ptr<PromptSource> lines, Finished finished);

}  // namespace sluice
