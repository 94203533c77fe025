// OUTPUT.run.json: what a completion file was made with, so that a resumed run can refuse to mix two models
// or two sets of defaults in one file.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

struct RunRecord {
    std::vector<std::pair<std::string, std::string>>
        values;  // a name and its value as JSON, in the order of the file

    void add_text(std::string name, std::string_view text);
    void add_json(std::string name, std::string json);
    const std::string* find(std::string_view name) const;  // its JSON; null: there is none
};

// The sampling defaults, by the names of the options.
void add_sampling(RunRecord& record, const Sampling& sampling);

// OUTPUT.run.json
std::filesystem::path run_record_path(const std::filesystem::path& output);

// The record appears whole or not at all: written beside, synced, renamed. Errors: ExitCode::File.
void write_run_record(const std::filesystem::path& output, const RunRecord& record);

// The end mark, "finished": {"lines": N}: the run answered all of its input, in N lines. It is no setting: no
// two runs differ by it. Errors: those of reading and writing the record.
void add_end_mark(RunRecord& record, std::int64_t lines);  // in place of one that is there
void mark_finished(const std::filesystem::path& output, std::int64_t lines);
void mark_unfinished(const std::filesystem::path& output);
std::optional<std::int64_t> finished_lines(const RunRecord& record);  // of the end mark; none: there is none

// Values as compact JSON. Errors: ExitCode::File when there is no record, or it cannot be read.
RunRecord read_run_record(const std::filesystem::path& output);

// A setting that two runs do not share; "nothing" where one has none.
struct Difference {
    std::string name;
    std::string first, second;  // JSON, clipped
};
std::vector<Difference> differences(const RunRecord& first, const RunRecord& second);

// Errors: ExitCode::Usage when `output` has no record, or its record differs from `record`: each difference
// is named with both values. ExitCode::File when the record cannot be read.
void require_same_run(const std::filesystem::path& output, const RunRecord& record);

}  // namespace sluice
