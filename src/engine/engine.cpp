#include "engine/engine.hpp"

#include "comm/collectives.hpp"
#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "kernels/args.hpp"

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

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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

void Engine::begin(StepPlan& plan) {
    plan.step.by_operation = by_operation_;
    check_slots(plan.step, cache_);
    if (watch_) watch_(plan.step);
    broken_ = true;
    send(plan);
    begin_computing(plan);
}

std::vector<Pick> Engine::finish() {
    std::vector<Pick> picks = finish_computing();
    broken_ = false;
    return picks;
}

std::vector<Pick> Engine::run(StepPlan& plan) {
    begin(plan);
    return finish();
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
        begin_computing(plan);
        finish_computing();
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

void Engine::begin_computing(const StepPlan& plan) {
    began_ = Clock::now();
    communicated_ = seconds_communicating();
    computes_ = !plan.step.tokens.empty();
    if (computes_) {
        note_step(steps_++);
        const Activity activity("computing");
        sampler_.begin(decoder_.run(plan.step, cache_), plan.samples);
    } else if (when_idle_) {
        when_idle_();
    }
    queued_ = Clock::now();
}

std::vector<Pick> Engine::finish_computing() {
    const double between = decoder_.is_queued() ? 0 : seconds_since(queued_);
    std::vector<Pick> picks;
    if (computes_) {
        const Activity activity("computing");
        picks = sampler_.finish();
        computing_ += seconds_since(began_) - between - (seconds_communicating() - communicated_);
    }
    report();
    seconds_ = seconds_since(began_) - between;
    return picks;
}

// One small exchange a step: so a stop that reaches one rank reaches all at the next step.
void Engine::report() {
    const StepReport mine{stop_signal_ ? stop_signal_() : 0, static_cast<float>(computing_),
                          static_cast<float>(seconds_communicating())};
    ranks_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(reports_)));
}

}  // namespace sluice
