// Rank 0's measurements on a loaded model.
#pragma once

#include "backend/op_clock.hpp"
#include "engine/engine.hpp"
#include "engine/roofline.hpp"
#include "jobs/bench_figures.hpp"
#include "jobs/bench_options.hpp"
#include "jobs/bench_requests.hpp"
#include "jobs/bench_room.hpp"
#include "jobs/model_job.hpp"

#include <functional>
#include <vector>

namespace sluice {

// Everything must outlive it.
struct BenchParts {
    const BenchOptions& options;
    const std::vector<BenchRequest>& requests;
    const Setup& setup;
    const BenchRoom& room;
    Engine& engine;
    Ops& ops;  // the engine's, whose clock is
    OpClock& clock;
    const Roofline& roofline;
    int ranks = 1;
    std::function<DeviceRates()> ceilings;  // of all ranks together, at this moment
};

class BenchMeasure {
public:
    explicit BenchMeasure(const BenchParts& parts);

    std::vector<Figure> prefill();
    std::vector<Figure> decode();
    std::vector<Figure> jobs();

private:
    using Plans = std::vector<StepPlan>;

    void tell_clock(bool tell);
    Plans prefill_plans(int prompts, int length);
    void run(Plans plans);
    struct Spent {  // seconds
        double all = 0, communicating = 0;
    };
    Spent time(const std::function<void()>& work);
    // Adds what these steps of a repeat ask, and their floor between these ceilings.
    void count(Figure& figure, const std::vector<StepWork>& steps, DeviceRates before,
               DeviceRates after) const;
    // Times `work`, which runs steps, and counts what they ask.
    void measure(Figure& figure, const std::function<void()>& prepare, const std::function<void()>& work);
    Figure job(int prefix, bool sharing);
    void run_job(ListedRequests& source, bool sharing, Figure& figure);

    BenchParts parts_;
    // A clock keeps operations from being recorded. Where they could be, it is told of one more run, whose
    // steps are not padded.
    bool apart_;
    RandomTokens tokens_;
};

}  // namespace sluice
