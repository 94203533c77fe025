// A checkpoint that exists in memory only, with random values for whatever its configuration asks.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"

#include <memory>

namespace sluice::test {

// Values depend on the tensor's name and the place in it, not on the slices. Matrices are int8 or fp8 with
// scales where the configuration says so, else bfloat16.
std::unique_ptr<SluiceCheckpoint> made_up_checkpoint(ModelConfig config, int slices);

}  // namespace sluice::test
