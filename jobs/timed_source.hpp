// A source of prompts whose reading is timed, and known to whoever watches the ranks.
#pragma once

#include "comm/rank_state.hpp"
#include "jobs/stopwatch.hpp"
#include "text/prompt_source.hpp"

#include <memory>
#include <utility>

namespace sluice {

class TimedSource final : public PromptSource {
public:
    explicit TimedSource(std::unique_ptr<PromptSource> lines) : lines_(std::move(lines)) {}

    std::optional<ParsedLine> next() override {
        const Stopwatch watch(seconds_);
        const Activity activity("reading the input", Activity::Kind::OpenEnded);
        return lines_->next();
    }
    bool ready(int milliseconds) override {
        const Stopwatch watch(seconds_);
        const Activity activity("waiting for input", Activity::Kind::OpenEnded);
        return lines_->ready(milliseconds);
    }
    // Reading and waiting, so far.
    double seconds() const { return seconds_; }

private:
    std::unique_ptr<PromptSource> lines_;
    double seconds_ = 0;
};

}  // namespace sluice
