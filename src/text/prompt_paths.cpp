#include "text/prompt_paths.hpp"

#include "core/error.hpp"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

namespace sluice {
namespace {

using Paths = std::vector<std::filesystem::path>;

bool is_folder(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

bool is_prompt_file(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    const bool record = name.ends_with(".run.json");  // of an output, maybe another job's
    return !name.starts_with('.') && !record && format_of_name(path) != PromptFormat::Auto &&
           !is_folder(path);
}

void sort_by_bytes(Paths& paths) { std::ranges::sort(paths, {}, &std::filesystem::path::native); }

Paths files_of_folder(const std::filesystem::path& folder) {
    Paths files;
    std::error_code problem;
    for (std::filesystem::directory_iterator entry(folder, problem), end; !problem && entry != end;
         entry.increment(problem)) {
        if (is_prompt_file(entry->path())) files.push_back(entry->path());
    }
    require(!problem, ExitCode::File, "cannot read the folder {}: {}", folder.string(), problem.message());
    require(!files.empty(), ExitCode::File,
            "the folder {} has no prompt files: expected .txt, .jsonl, .ndjson or .json, perhaps with .gz or "
            ".zst (not in folders below it)",
            folder.string());
    sort_by_bytes(files);
    return files;
}

bool is_pattern(const std::filesystem::path& path) {
    std::error_code ignored;
    return path.native().find_first_of("*?[") != std::string::npos &&
           !std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

Paths matches_of(const std::filesystem::path& pattern) {
    glob_t found{};
    const int result = ::glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
    const int reason = errno;
    Paths matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    require(result == 0 || result == GLOB_NOMATCH, ExitCode::File, "cannot look for {}: {}", pattern.string(),
            result == GLOB_NOSPACE ? "no memory" : std::strerror(reason));
    require(!matches.empty(), ExitCode::File, "no file matches the pattern {}", pattern.string());
    sort_by_bytes(matches);
    return matches;
}

void add_files(const std::filesystem::path& path, Paths& files) {
    const Paths more = path != "-" && is_folder(path) ? files_of_folder(path) : Paths{path};
    files.insert(files.end(), more.begin(), more.end());
}

}  // namespace

Paths expand_prompt_paths(const Paths& paths) {
    Paths files;
    for (const std::filesystem::path& path : paths) {
        if (!is_pattern(path)) {
            add_files(path, files);
            continue;
        }
        for (const std::filesystem::path& match : matches_of(path)) add_files(match, files);
    }
    return files;
}

PromptFormat format_of_name(const std::filesystem::path& path) {
    const bool packed = path.extension() == ".gz" || path.extension() == ".zst";
    const std::string extension = (packed ? path.stem() : path).extension().string();
    if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") return PromptFormat::Jsonl;
    return extension == ".txt" ? PromptFormat::Txt : PromptFormat::Auto;
}

}  // namespace sluice
