#include "engine/engine.hpp"

#include "comm/collectives.hpp"

namespace sluice {

Engine::Engine(Decoder& decoder, KvCache& cache, Sampler& sampler, Communicator& ranks)
    : decoder_(decoder), cache_(cache), sampler_(sampler), ranks_(ranks) {}

std::vector<Pick> Engine::run(const StepPlan& plan) {
    broken_ = true;
    send(plan);
    std::vector<Pick> picks = compute(plan);
    broken_ = false;
    return picks;
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

void Engine::send(const StepPlan& plan) {
    if (ranks_.size() == 1) return;
    std::vector<std::byte> bytes = to_bytes(plan);
    broadcast_bytes(ranks_, bytes, 0);
}

std::vector<Pick> Engine::compute(const StepPlan& plan) {
    const View logits = decoder_.run(plan.step, cache_);
    return sampler_.pick(logits, plan.samples);
}

}  // namespace sluice
