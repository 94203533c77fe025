// Prompt files, one after the other, as a stream of requests.
#pragma once

#include "text/prompt_options.hpp"
#include "text/prompt_paths.hpp"
#include "text/prompt_source.hpp"

#include <filesystem>
#include <memory>
#include <vector>

namespace sluice {

// The requests of the lines of `paths` in order; "-" is standard input. What is packed with gzip or zstd, as
// its first bytes tell, is unpacked. Memory does not grow with a file, but by the hash of each id.
//
// Auto decides for each file by its extension (.jsonl, .ndjson and .json; .txt; seen through .gz and .zst),
// otherwise by its first byte that is not blank: '{' is jsonl. With a field every file is jsonl.
//
// Ids are judged over the whole input, and then the partition's lines are taken: every line is in exactly one
// part. A request for n completions is given n times, with index 0 to n - 1; an error is given once.
//
// Every file is opened here. Errors: ExitCode::File when one is missing, unreadable or a folder, and later
// when one is damaged; ExitCode::Usage when two have the same name, for FILE:LINE would name lines of both,
// and when the options contradict each other.
std::unique_ptr<PromptSource> open_prompts(const std::vector<std::filesystem::path>& paths,
                                           const PromptOptions& options);

}  // namespace sluice
