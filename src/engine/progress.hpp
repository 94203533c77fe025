// How far a run is: a live line on a terminal, a plain line every ten seconds elsewhere, a summary at the
// end.
#pragma once

#include "text/score.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

struct Tally {
    std::int64_t answered = 0;  // requests, errors included
    std::int64_t errors = 0;
    std::int64_t answered_from_equal = 0;                   // with what was computed for an equal request
    std::int64_t prompt_tokens = 0, completion_tokens = 0;  // of answered requests
    ScoreTotals scores;                                     // of texts
    std::int64_t prefill_rows = 0, decode_rows = 0;         // computed, those of preempted sequences again
    std::int64_t steps = 0, sequences = 0;                  // of all steps together
    std::int64_t shared_tokens = 0, preemptions = 0;
    int running = 0, waiting = 0;
    int pages_held = 0, pages = 0;
};

class Progress {
public:
    enum class Mode { Auto, Plain, Off };

    // `total`: requests of the whole input, where known; `before`: what earlier runs answered.
    Progress(Mode mode, Purpose purpose, std::optional<std::int64_t> total, const Tally& before);

    void update(const Tally& tally);  // shows something now and then
    void finish(const Tally& tally, bool complete);

private:
    using Clock = std::chrono::steady_clock;

    std::string line(const Tally& tally, double seconds) const;
    std::string summary(const Tally& tally, double seconds) const;

    bool live_, off_, scores_;
    std::optional<std::int64_t> total_;
    Tally before_;
    Clock::time_point start_ = Clock::now(), shown_ = start_;
};

}  // namespace sluice
