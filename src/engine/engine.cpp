#include "engine/engine.hpp"

#include "comm/collectives.hpp"
#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "kernels/args.hpp"

#include <chrono>
#include <cstdint>
#include <span>

namespace sluice {
namespace {

// Nothing else would notice a row that is written beside the cache.
void check_slots(const Step& step, const KvCache& cache) {
    const std::int64_t slots = cache.layer(0).shape[0] * kernels::kPageTokens;
    for (const auto slot : step.slots)
        expect(slot >= 0 && slot < slots, "slot {} of a cache of {}", slot, slots);
}

}  // namespace

Engine::Engine(Decoder& decoder, KvCache& cache, Sampler& sampler, Communicator& ranks,
               std::function<int()> stop_signal)
    : decoder_(decoder),
      cache_(cache),
      sampler_(sampler),
      ranks_(ranks),
      stop_signal_(std::move(stop_signal)),
      reports_(static_cast<std::size_t>(ranks.size())) {}

std::vector<Pick> Engine::run(StepPlan& plan) {
    plan.step.by_operation = by_operation_;
    check_slots(plan.step, cache_);
    if (watch_) watch_(plan.step);
    broken_ = true;
    send(plan);
    std::vector<Pick> picks = compute(plan);
    broken_ = false;
    return picks;
}

void Engine::idle() {
    StepPlan nothing;
    run(nothing);
}

void Engine::stop() {
    StepPlan plan;
    plan.stop = true;
    send(plan);
}

void Engine::follow() {
    for (;;) {
        std::vector<std::byte> bytes;
        broadcast_bytes(ranks_, bytes, 0);
        const StepPlan plan = plan_from_bytes(bytes);
        if (plan.stop) return;
        compute(plan);
    }
}

int Engine::stop_signal() const {
    for (const StepReport& each : reports_)
        if (each.stop_signal != 0) return each.stop_signal;
    return 0;
}

void Engine::send(const StepPlan& plan) {
    if (ranks_.size() == 1) return;
    std::vector<std::byte> bytes = to_bytes(plan);
    broadcast_bytes(ranks_, bytes, 0);
}

std::vector<Pick> Engine::compute(const StepPlan& plan) {
    std::vector<Pick> picks;
    if (!plan.step.tokens.empty()) {
        using Clock = std::chrono::steady_clock;
        note_step(steps_++);
        const Activity activity("computing");
        const double communicated = seconds_communicating();
        const Clock::time_point start = Clock::now();
        const View logits = decoder_.run(plan.step, cache_);
        picks = sampler_.pick(logits, plan.samples);
        computing_ += std::chrono::duration<double>(Clock::now() - start).count() -
                      (seconds_communicating() - communicated);
    } else if (when_idle_) {
        when_idle_();
    }
    report();
    return picks;
}

// One small exchange a step: so a stop that reaches one rank reaches all at the next step.
void Engine::report() {
    const StepReport mine{stop_signal_ ? stop_signal_() : 0, static_cast<float>(computing_),
                          static_cast<float>(seconds_communicating())};
    ranks_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(reports_)));
}

}  // namespace sluice
