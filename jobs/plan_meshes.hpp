// Every number of ranks that a model could run on, and what each would hold.
#pragma once

#include "engine/memory_plan.hpp"
#include "engine/roofline.hpp"
#include "jobs/plan_model.hpp"
#include "jobs/plan_options.hpp"
#include "model/parameters.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct Estimate {
    int batch = 0;  // sequences of a decoding step; tokens of a prefill step
    StepTime time;
    double tokens_per_second() const { return batch / time.seconds; }
};

struct Mesh {
    int ranks = 0;
    std::string refusal;  // why it cannot run; empty where it can
    // Of the rank with the most weights; unknown where the ranks do not divide the slices.
    std::optional<WeightBytes> weights;
    BatchLimits batch;  // the most that is provided for
    MemoryPlan memory;  // the pages: of the rank with the fewest
    std::uint64_t kv_token = 0, free = 0;
    std::vector<std::int64_t> sequences;  // that fit, one for each of Plan::lengths
    std::vector<Estimate> decode;         // at Plan::context
    std::optional<Estimate> prefill;
    bool fits() const { return refusal.empty(); }
};

struct Plan {
    PlannedModel model;
    ParameterCount parameters;
    int slices = 0;
    int max_length = 0;           // of a sequence
    std::uint64_t memory = 0;     // of a device
    std::uint64_t claimable = 0;  // of it, as a run finds it
    std::optional<DeviceRates> rates;
    std::vector<int> lengths;  // asked for, and the longest
    int context = 0;           // that estimates are for
    std::vector<Mesh> meshes;  // by ranks
    // The most ranks that fit: each reads and computes its share of every step.
    const Mesh* recommended() const;
};

// ExitCode::Usage where --slices or --max-seq-len do not suit the model.
Plan make_plan(PlannedModel model, const PlanOptions& options);

}  // namespace sluice
