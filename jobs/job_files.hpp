// Which files a job on files reads and writes, and that no two of them are one.
#pragma once

#include "jobs/job_options.hpp"

#include <filesystem>
#include <vector>

namespace sluice {

// The prompt files that the options name. What the job writes is left out of folders and patterns: a resumed
// run finds its own output there. Errors: those of expand_prompt_paths; ExitCode::Usage when a file that is
// to be written is named as a prompt file, too, or when two of those to be written are one.
std::vector<std::filesystem::path> prompt_files_of(const JobOptions& options);

}  // namespace sluice
