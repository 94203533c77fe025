// A rank's whole machinery for one step: rank 0 plans, every rank computes.
#pragma once

#include "comm/communicator.hpp"
#include "engine/sampler.hpp"
#include "engine/step_plan.hpp"
#include "model/decoder.hpp"
#include "model/kv_cache.hpp"

#include <vector>

namespace sluice {

class Engine {
public:
    // Everything must outlive the engine.
    Engine(Decoder& decoder, KvCache& cache, Sampler& sampler, Communicator& ranks);

    // Rank 0: sends the plan to the other ranks and runs it with them. A pick for each of plan.samples.
    std::vector<Pick> run(const StepPlan& plan);
    // Rank 0, once, at the end: the other ranks' follow() returns.
    void stop();
    // The other ranks: run what rank 0 sends, until it stops.
    void follow();

    // A step failed half-way: the ranks no longer stand at the same place.
    bool broken() const { return broken_; }

private:
    void send(const StepPlan& plan);
    std::vector<Pick> compute(const StepPlan& plan);

    Decoder& decoder_;
    KvCache& cache_;
    Sampler& sampler_;
    Communicator& ranks_;
    bool broken_ = false;
};

}  // namespace sluice
