// What a rank will hold, before it reads a byte.
#pragma once

#include "model/config.hpp"
#include "model/decoder.hpp"
#include "model/shard.hpp"

#include <cstdint>
#include <string>

namespace sluice {

struct MemoryRequest {
    std::uint64_t available = 0;  // for this rank
    std::string kv_memory;        // "20GiB", "80%" of what is left after weights and workspace; empty: choose
    DType kv_dtype = DType::BF16;
    DType router = DType::BF16;  // as the checkpoint stores routers: BF16 or F32
    kernels::Family family = kernels::Family::Cpu;
    DecoderLimits limits;
    int sequences = 0;  // running at once
};

struct MemoryPlan {
    std::uint64_t weights = 0, workspace = 0, kv = 0;
    std::uint64_t staging = 0;  // beside the weights, while they are loaded
    int pages = 0;
};

// The cache must hold at least one sequence of limits.positions. ExitCode::Checkpoint, with the sum written
// out, when it does not fit.
MemoryPlan plan_memory(const ModelConfig& config, const Shard& shard, const MemoryRequest& request);

// Memory this process may still take: what the system has available, or its control group's limit leaves.
std::uint64_t available_host_memory();

}  // namespace sluice
