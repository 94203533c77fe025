// A rank's whole machinery for one step: rank 0 plans, every rank computes.
#pragma once

#include "comm/communicator.hpp"
#include "engine/sampler.hpp"
#include "engine/step_plan.hpp"
#include "model/decoder.hpp"
#include "model/kv_cache.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sluice {

// What every rank tells all others after each step.
struct StepReport {
    std::int32_t stop_signal = 0;  // that asked this rank to stop; 0: none
    // Seconds since the first step; of rank 0 with what else the host did, where that took longer than a step
    // it was done beside.
    float computing = 0;
    float communicating = 0;
};

class Engine {
public:
    // Everything must outlive the engine. stop_signal: what this rank was asked to stop by, for its reports.
    Engine(Decoder& decoder, KvCache& cache, Sampler& sampler, Communicator& ranks,
           std::function<int()> stop_signal = {});

    // Rank 0: sends the plan to the other ranks and begins to run it with them; where the decoder's steps are
    // queued, it goes on while the host does something else. The plan must stay until finish(). Sets
    // Step::by_operation.
    void begin(StepPlan& plan);
    // A pick for each of plan.samples.
    std::vector<Pick> finish();
    // Both.
    std::vector<Pick> run(StepPlan& plan);
    // What the last step took, without what the host did between begin() and finish() where the step did not
    // go on meanwhile.
    double seconds() const { return seconds_; }
    // Rank 0, while there is nothing to run: every rank shows that it is there, does what when_idle() set,
    // and reports.
    void idle();
    // The same on every rank.
    void when_idle(std::function<void()> work) { when_idle_ = std::move(work); }
    // Rank 0, once, at the end: the other ranks' follow() returns.
    void stop();
    // The other ranks: run what rank 0 sends, until it stops.
    void follow();

    // Rank 0: `watch` sees each step before it runs.
    void watch(std::function<void(const Step&)> watch) { watch_ = std::move(watch); }
    // Rank 0: whether steps are Step::by_operation from now on; at first they are not. Where a clock is told
    // of operations (Ops::tell_clock) on one rank, they must be.
    void run_by_operation(bool by_operation) { by_operation_ = by_operation; }

    // Of every rank, after the last step.
    const std::vector<StepReport>& reports() const { return reports_; }
    // That some rank was asked to stop by; 0: none.
    int stop_signal() const;

    // A step failed half-way: the ranks no longer stand at the same place.
    bool broken() const { return broken_; }

private:
    using Clock = std::chrono::steady_clock;

    void send(const StepPlan& plan);
    // What every rank does.
    void begin_computing(const StepPlan& plan);
    std::vector<Pick> finish_computing();
    void report();

    Decoder& decoder_;
    KvCache& cache_;
    Sampler& sampler_;
    Communicator& ranks_;
    std::function<int()> stop_signal_;
    std::function<void(const Step&)> watch_;
    std::function<void()> when_idle_;
    std::vector<StepReport> reports_;
    std::int64_t steps_ = 0;
    bool computes_ = false;  // the step that is under way; else it is an idle one
    Clock::time_point began_, queued_;
    double communicated_ = 0;  // seconds, when it began
    double seconds_ = 0, computing_ = 0;
    bool broken_ = false;
    bool by_operation_ = false;
};

}  // namespace sluice
