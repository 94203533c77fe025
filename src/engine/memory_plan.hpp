// What a rank will hold, before it reads a byte.
#pragma once

#include "model/config.hpp"
#include "model/decoder.hpp"
#include "model/shard.hpp"

#include <cstdint>
#include <string>

namespace sluice {

struct MemoryRequest {
    std::uint64_t available = 0;  // for this rank, of the memory that operations work on
    // Likewise of the host's; where operations work on that, it is not looked at.
    std::uint64_t host_available = 0;
    std::string kv_memory;  // "20GiB", "80%" of what is left after weights and workspace; empty: choose
    DType kv_dtype = DType::BF16;
    DType router = DType::BF16;  // as the checkpoint stores routers: BF16 or F32
    kernels::Family family = kernels::Family::Cpu;
    DecoderLimits limits;
    int sequences = 0;  // running at once
};

struct MemoryPlan {
    std::uint64_t weights = 0, workspace = 0, kv = 0;
    // Of the host's memory, while weights are loaded: beside them, if they are there.
    std::uint64_t staging = 0;
    // The most of the host's memory that is taken at once. What a GPU holds is none of it.
    std::uint64_t host = 0;
    int pages = 0;
};

// Of --max-batch and --max-batch-tokens: far beyond what pays off.
inline constexpr int kMostBatch = 1 << 20;

// Most sequences at once and most rows of a step, up to kMostBatch. 0: not chosen yet.
struct BatchLimits {
    int sequences = 0, rows = 0;
};

// The larger the steps that are provided for, the more a run can choose from; but the cache comes first.
// Where `given` is 0: 1024 rows of 256 sequences, or half as many until the workspace takes at most a tenth
// of what the weights leave and the cache that is asked for has room beside it (at least one sequence of
// limits.positions), and 128 rows of 32 whatever they leave. `all_logits`: of every row, not of one for each
// sequence. ExitCode::Usage for a kv_memory that cannot be read.
BatchLimits choose_batch(const ModelConfig& config, const Shard& shard, const MemoryRequest& request,
                         BatchLimits given, bool all_logits);
DecoderLimits limits_of(BatchLimits batch, bool all_logits, int positions);

// The cache must hold at least one sequence of limits.positions. ExitCode::Checkpoint, with the sum written
// out, when it does not fit.
MemoryPlan plan_memory(const ModelConfig& config, const Shard& shard, const MemoryRequest& request);

}  // namespace sluice
