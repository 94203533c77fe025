// What a prompt file comes to, for tests.
#pragma once

#include "text/prompt_file.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

using Paths = std::vector<std::filesystem::path>;

inline std::vector<ParsedLine> read_all(const Paths& paths, PromptFormat format = PromptFormat::Auto,
                                        const Sampling& defaults = {}) {
    std::vector<ParsedLine> lines;
    const auto source = open_prompts(paths, {.format = format, .defaults = defaults});
    while (auto line = source->next()) lines.push_back(std::move(*line));
    return lines;
}

inline const Request& request(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line))
        throw std::runtime_error("not a request: " + failed->error.message);
    return std::get<Request>(line);
}
inline std::string prompt(const ParsedLine& line) { return std::get<std::string>(request(line).input); }
inline std::string code(const ParsedLine& line) {
    const auto* failed = std::get_if<FailedRequest>(&line);
    return failed == nullptr ? "" : failed->error.code;
}

}  // namespace sluice
