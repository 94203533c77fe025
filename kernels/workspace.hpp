// What operations may need of Execution::workspace, on any machine: for memory plans.
#pragma once

#include "kernels/args.hpp"
#include "kernels/execution.hpp"

#include <cstddef>

namespace sluice::kernels {

// The most that calls need which have at most as many rows. Weights may know their sizes only
// (PackArgs::sizes_only); no pointer is followed, and only those of offsets must be there.
std::size_t most_workspace(Family family, const ProductArgs& args);
std::size_t most_workspace(Family family, const ExpertProductArgs& args);
// Likewise, and at most as long a context; of any number of sequences.
std::size_t most_workspace(Family family, const AttentionArgs& args);

}  // namespace sluice::kernels
