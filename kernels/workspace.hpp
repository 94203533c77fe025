// What memory weights and operations take, and where: for plans, on any machine.
#pragma once

#include "kernels/args.hpp"
#include "kernels/execution.hpp"

#include <cstddef>

namespace sluice::kernels {

// Whether operations work on the host's memory, and not on a device's of its own.
constexpr bool works_on_host(Family family) { return family != Family::Cuda; }

// What packing would make, without its values (PackArgs::sizes_only), whether or not the family can pack
// here.
Packed packed_sizes(Family family, PackArgs args);

// The most that operations need beside their arrays in calls of at most as many rows: of
// Execution::workspace, or of memory that they keep themselves; what grows with their threads is not counted.
// Weights may know their sizes only; no pointer is followed, and only those of offsets must be there.
std::size_t most_workspace(Family family, const ProductArgs& args);
std::size_t most_workspace(Family family, const ExpertProductArgs& args);
// Likewise, and at most as long a context; of any number of sequences.
std::size_t most_workspace(Family family, const AttentionArgs& args);
std::size_t most_workspace(Family family, const VocabArgs& args);

}  // namespace sluice::kernels
