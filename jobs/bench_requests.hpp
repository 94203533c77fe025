// The requests of the offline job that sluice-bench runs.
#pragma once

#include "jobs/bench_options.hpp"
#include "jobs/bench_steps.hpp"
#include "text/prompt_source.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace sluice {

// Lengths in tokens. `prompt` is empty where the tokens are drawn.
struct BenchRequest {
    std::vector<Token> prompt;
    int prompt_tokens = 0, new_tokens = 0;
    int longest() const { return prompt_tokens + new_tokens; }
};

// Those of --job, or as many as --job-requests says, of lengths that --seed draws: every rank makes the same.
// Errors: ExitCode::File for a line that cannot be served or has no "tokens".
std::vector<BenchRequest> bench_requests(const BenchOptions& options);

// Greedy requests of exactly these lengths, whose prompts all begin with the same `prefix` tokens.
std::vector<Request> listed(const std::vector<BenchRequest>& requests, int prefix, RandomTokens& tokens);

// Requests from memory.
class ListedRequests final : public PromptSource {
public:
    explicit ListedRequests(std::vector<Request> requests) : requests_(std::move(requests)) {}
    std::optional<ParsedLine> next() override;
    bool ready(int /*milliseconds*/) override { return true; }

private:
    std::vector<Request> requests_;
    std::size_t next_ = 0;
};

}  // namespace sluice
