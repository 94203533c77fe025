// OUTPUT.partial: the tokens of completions that a stop caught on their way, so that a resumed run goes on
// where they were.
#pragma once

#include "text/request.hpp"
#include "text/token_logprobs.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

namespace sluice {

struct PartialAnswer {
    std::uint64_t fingerprint = 0;  // of the prompt's tokens and the sampling: what its tokens follow from
    std::vector<Token> tokens;
    std::vector<PositionLogprobs> logprobs;  // of each token; empty where the request asks for none
};

// OUTPUT.partial
std::filesystem::path partial_path(const std::filesystem::path& output);

// Nothing depends on what they hold: what is missing is computed again, and comes out the same.
class PartialAnswers {
public:
    // Of no file: none. A file that is damaged is passed over with a warning. Errors: ExitCode::File when it
    // exists and cannot be read.
    static PartialAnswers load(const std::filesystem::path& output);

    // Null: none. Requests that must have the same completion find the same one.
    const PartialAnswer* find(std::uint64_t fingerprint) const;
    // Of two with one fingerprint, the longer is kept; one without tokens is not.
    void keep(PartialAnswer answer);
    // It is answered.
    void drop(std::uint64_t fingerprint) { answers_.erase(fingerprint); }
    std::size_t size() const { return answers_.size(); }

    // The file appears whole or not at all; of no answers, it goes. Errors: ExitCode::File.
    void save(const std::filesystem::path& output) const;

private:
    std::map<std::uint64_t, PartialAnswer> answers_;  // by fingerprint
};

}  // namespace sluice
