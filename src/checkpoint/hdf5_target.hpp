// A Sluice checkpoint as a target: common.h5 and slice files.
#pragma once

#include "checkpoint/sluice_plan.hpp"
#include "checkpoint/target.hpp"

#include <memory>

namespace sluice {

// The values of each file stand in the plan's order, each tensor's followed by its scales, at multiples of
// 4 KiB, behind all else.
std::unique_ptr<CheckpointTarget> hdf5_target(SluicePlan plan);

}  // namespace sluice
