// Prompt files, one after the other, as a stream of requests.
#pragma once

#include "text/request.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace sluice {

enum class PromptFormat { Auto, Txt, Jsonl };

class PromptSource {
public:
    virtual ~PromptSource() = default;
    // The next line that asks for something; none at the end. Errors: ExitCode::File when reading fails.
    virtual std::optional<ParsedLine> next() = 0;
    // Whether next() has something to read at once, or within `milliseconds`; files always have, pipes may
    // not.
    virtual bool ready(int milliseconds) = 0;
};

// The lines of `paths` in order; "-" is standard input. Memory does not grow with a file, but by the hash of
// each id: a repeated id gives the error duplicate_id. Auto decides for each file by its extension (.jsonl,
// .ndjson and .json; .txt), otherwise by its first byte that is not blank: '{' is jsonl. Every file is
// checked here. Errors: ExitCode::File when one is missing, unreadable or a folder; ExitCode::Usage when two
// have the same name, for FILE:LINE would name lines of both.
std::unique_ptr<PromptSource> open_prompts(const std::vector<std::filesystem::path>& paths,
                                           PromptFormat format, const Sampling& defaults,
                                           Purpose purpose = Purpose::Generate);

}  // namespace sluice
