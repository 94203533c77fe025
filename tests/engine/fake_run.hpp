// The scheduler against a stand-in for the model: a cache that remembers which token each slot holds, and
// checks at every step that a sequence finds exactly its own tokens in its pages.
#pragma once

#include "engine/scheduler.hpp"
#include "kernels/args.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace sluice::test {

inline constexpr int kPage = kernels::kPageTokens;

// The token a sequence goes on with: a function of all its tokens, as a model's greedy choice is.
Token continuation(const std::vector<Token>& tokens);

struct Job {
    std::vector<Token> prompt;
    int new_tokens = 1;
};

class FakeRun {
public:
    FakeRun(const BatchPolicy& policy, int pages);

    // The completions of all jobs, in their order.
    std::vector<std::vector<Token>> run(const std::vector<Job>& jobs);

    // The positions whose logits each text was given, in the order they came; job j wants those from
    // jobs[j].new_tokens on.
    std::vector<std::vector<int>> score(const std::vector<Job>& jobs);

    // What the scheduler is limited to before each step; empty: nothing but its policy.
    std::function<std::pair<int, int>()> limits = {};

    const Scheduler& scheduler() const { return scheduler_; }
    int steps() const { return steps_; }
    std::int64_t rows() const { return rows_; }
    std::int64_t masked() const { return masked_; }
    // The jobs in the order in which they were finished.
    const std::vector<std::size_t>& finished() const { return finished_; }

private:
    void check_and_store(const Scheduler::Work& work);
    void check_masked(const Step& step, const StepSequence& sequence);
    void check_context(const Step& step, int row, const std::vector<Token>& tokens) const;

    BatchPolicy policy_;
    Scheduler scheduler_;
    std::vector<Token> slots_;
    std::map<Ticket, std::size_t> owner_;
    std::vector<std::size_t> finished_;
    int steps_ = 0;
    std::int64_t rows_ = 0, masked_ = 0;
};

}  // namespace sluice::test
