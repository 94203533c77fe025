// Which files the paths of a command line name, and what their names tell of what they hold.
#pragma once

#include "text/prompt_options.hpp"

#include <filesystem>
#include <vector>

namespace sluice {

// The files that `paths` name, in their order. Each path is a file or "-", taken as it is; or a folder, which
// stands for its prompt files (.txt, .jsonl, .ndjson and .json, each perhaps with .gz or .zst; not those of
// folders in it, nor names that begin with a dot); or, if nothing of that name exists, a pattern of glob(7),
// which stands for the files and folders it matches. Those of a folder or pattern are in byte order. Errors:
// ExitCode::File when a folder or a pattern gives nothing, or cannot be read. A name that does not exist and
// is no pattern is left for open_prompts to refuse.
std::vector<std::filesystem::path> expand_prompt_paths(const std::vector<std::filesystem::path>& paths);

// What the extension says, seen through .gz and .zst: Jsonl or Txt, or Auto when it says nothing.
PromptFormat format_of_name(const std::filesystem::path& path);

}  // namespace sluice
