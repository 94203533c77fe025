// What the operations of a step need beside its arrays.
#pragma once

#include "model/decoder.hpp"

#include <cstddef>

namespace sluice {

// The most scratch memory that an operation of the decoder takes, or of what chooses tokens from its logits,
// in bytes (kernels/workspace.hpp): they share it. No device is asked.
std::size_t op_workspace_bytes(const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
                               kernels::Family family);

}  // namespace sluice
