#include "engine/request_loop.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace sluice {

bool RequestLoop::run(const std::function<bool()>& stop, Progress& progress) {
    for (;;) {
        admit_requests(stop);
        if (parts_.scheduler.empty() && source_ended_) return true;
        if (stop()) return false;
        if (!parts_.scheduler.empty()) step();
        progress.update(tally_);
    }
}

// Never waits for input while there is something to run, and never long without a look at `stop`.
void RequestLoop::admit_requests(const std::function<bool()>& stop) {
    while (!source_ended_ && parts_.scheduler.wants_more() && !stop()) {
        if (!parts_.source.ready(parts_.scheduler.empty() ? 100 : 0)) return;
        std::optional<ParsedLine> line = parts_.source.next();
        if (!line) {
            source_ended_ = true;
        } else if (auto* request = std::get_if<Request>(&*line)) {
            admit(std::move(*request));
        } else {
            answer(std::get<FailedRequest>(*line));
        }
    }
}

void RequestLoop::step() {
    Scheduler& scheduler = parts_.scheduler;
    Scheduler::Work work = scheduler.next();
    StepPlan plan;
    plan.step = std::move(work.step);
    const auto position_of = [&](std::size_t i) {
        return plan.step.positions[static_cast<std::size_t>(plan.step.logit_rows[i])];
    };
    for (std::size_t i = 0; i < work.sampled.size(); ++i)
        plan.samples.push_back(wishes_of(work.sampled[i], position_of(i)));
    std::vector<Pick> picks = parts_.engine.run(plan);
    scheduler.ran();
    tally_.prefill_rows += work.prefill_rows;
    tally_.decode_rows += work.decode_rows;
    for (std::size_t i = 0; i < picks.size(); ++i) take(work.sampled[i], position_of(i), std::move(picks[i]));
    tally_.running = scheduler.running();
    tally_.waiting = scheduler.waiting();
    tally_.pages_held = scheduler.pages_held();
    tally_.pages = scheduler.pages();
    tally_.shared_tokens = scheduler.shared_tokens();
    tally_.preemptions = scheduler.preemptions();
}

void RequestLoop::count(bool error, std::int64_t prompt_tokens, std::int64_t completion_tokens,
                        const ScoreTotals& scores) {
    ++tally_.answered;
    tally_.errors += error ? 1 : 0;
    tally_.prompt_tokens += prompt_tokens;
    tally_.completion_tokens += completion_tokens;
    tally_.scores += scores;
}

}  // namespace sluice
