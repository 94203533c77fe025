// The embedding, where operations work.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"

#include <span>

namespace sluice {

// All rows of the slices, below one another, as bfloat16, which is what every family's own code takes from
// its table. It goes to a device without a copy on the host: of many models it is the largest tensor.
Tensor embedding_table(std::span<const TensorSlice> slices, const Ops& ops);

}  // namespace sluice
