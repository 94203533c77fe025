#include "jobs/job_files.hpp"

#include "core/error.hpp"
#include "text/durable_file.hpp"
#include "text/partial_answers.hpp"
#include "text/prompt_paths.hpp"
#include "text/run_record.hpp"

#include <algorithm>
#include <system_error>

namespace sluice {
namespace {

using Path = std::filesystem::path;

// By what is there, or will be.
bool same_file(const Path& a, const Path& b) {
    std::error_code unknown;
    if (std::filesystem::equivalent(a, b, unknown)) return true;
    const Path first = std::filesystem::weakly_canonical(a, unknown);
    return !unknown && first == std::filesystem::weakly_canonical(b, unknown) && !unknown;
}

bool is_stream(const Path& path) {
    std::error_code unknown;
    const auto status = std::filesystem::status(path, unknown);
    return path == "-" || std::filesystem::is_character_file(status) || std::filesystem::is_fifo(status);
}

// What the job writes.
std::vector<Path> written_files(const JobOptions& options) {
    std::vector<Path> files;
    const auto add_replaced = [&](const Path& path) {
        files.push_back(path);
        files.push_back(temporary_path(path));
    };
    if (!options.output.empty() && !is_stream(options.output)) {
        files.push_back(options.output);
        add_replaced(run_record_path(options.output));
        add_replaced(partial_path(options.output));
    }
    if (!options.metrics.empty() && !is_stream(options.metrics)) add_replaced(options.metrics);
    return files;
}

}  // namespace

std::vector<Path> prompt_files_of(const JobOptions& options) {
    const std::vector<Path> written = written_files(options);
    for (auto file = written.begin(); file != written.end(); ++file) {
        const auto other =
            std::find_if(written.begin(), file, [&](const Path& each) { return same_file(each, *file); });
        require(other == file, ExitCode::Usage, "{} and {} are one file: give each its own name",
                other->string(), file->string());
    }
    const auto is_written = [&](const Path& path) {
        return std::ranges::any_of(written, [&](const Path& each) { return same_file(path, each); });
    };
    for (const Path& path : options.prompts)
        require(is_stream(path) || !is_written(path), ExitCode::Usage,
                "{} is a prompt file, and would be written: give another --output or --metrics",
                path.string());
    std::vector<Path> files = expand_prompt_paths(options.prompts);
    std::erase_if(files, is_written);
    return files;
}

}  // namespace sluice
