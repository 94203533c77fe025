// OUTPUT.run.json: what a completion file was made with, so that a resumed run can refuse to mix two models
// or two sets of defaults in one file.
#pragma once

#include "text/request.hpp"

#include <filesystem>
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
};

// The sampling defaults, by the names of the options.
void add_sampling(RunRecord& record, const Sampling& sampling);

// OUTPUT.run.json
std::filesystem::path run_record_path(const std::filesystem::path& output);

// The record appears whole or not at all: written beside, synced, renamed. Errors: ExitCode::File.
void write_run_record(const std::filesystem::path& output, const RunRecord& record);

// Errors: ExitCode::Usage when `output` has no record, or its record differs from `record`: each difference
// is named with both values. ExitCode::File when the record cannot be read.
void require_same_run(const std::filesystem::path& output, const RunRecord& record);

}  // namespace sluice
