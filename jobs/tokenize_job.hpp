// Prompts to token ids and back: the work of sluice-tokenize.
#pragma once

#include "core/error.hpp"
#include "jobs/job_options.hpp"
#include "text/prompt_file.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

struct TokenizeOptions {
    std::filesystem::path model;
    std::vector<std::string> arguments;  // texts, or ids to decode; where there are any, `input` is not read
    std::filesystem::path input = "-";
    std::filesystem::path output = "-";
    bool overwrite = false;
    PromptFormat prompt_format = PromptFormat::Auto;

    bool chat = false;
    std::string chat_format = kOwnTemplate;
    std::string system;
    bool no_bos = false;

    bool decode = false;
    bool skip_special = false;
};

// Writes a line for each text, in order; SomeErrors when some of them are error records. Errors:
// ExitCode::Checkpoint, ExitCode::File and ExitCode::Usage, as their messages say.
ExitCode tokenize(const TokenizeOptions& options);

}  // namespace sluice
