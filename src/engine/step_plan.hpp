// A step as rank 0 planned it, on its way to the other ranks.
#pragma once

#include "engine/sampler.hpp"
#include "model/step.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace sluice {

struct StepPlan {
    bool stop = false;  // no step: the run is over
    Step step;
    std::vector<SampleRow> samples;  // one for each of step.logit_rows
};

// Flat bytes of this machine's own layout: ranks of one job are alike.
std::vector<std::byte> to_bytes(const StepPlan& plan);
StepPlan plan_from_bytes(std::span<const std::byte> bytes);

}  // namespace sluice
