#include "engine/memory_plan.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "kernels/args.hpp"
#include "kernels/workspace.hpp"
#include "model/kv_cache.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

constexpr std::uint64_t kPage = kernels::kPageTokens;

std::uint64_t kv_budget(const MemoryRequest& request, std::uint64_t left, std::uint64_t page,
                        std::uint64_t useful) {
    if (request.kv_memory.empty()) return std::min(useful * page, left / 5 * 4);
    if (!request.kv_memory.ends_with('%')) return parse_bytes(request.kv_memory, "--kv-memory");
    double percent = 0;
    const char* end = request.kv_memory.data() + request.kv_memory.size() - 1;
    const auto [rest, problem] = std::from_chars(request.kv_memory.data(), end, percent);
    require(problem == std::errc{} && rest == end && percent > 0 && percent <= 100, ExitCode::Usage,
            "--kv-memory: '{}' is no share; write e.g. 80%", request.kv_memory);
    return static_cast<std::uint64_t>(static_cast<double>(left) * percent / 100);
}

constexpr int kMostRows = 1024, kLeastRows = 128;
constexpr int kMostSequences = 256;
constexpr std::uint64_t kWorkspaceShare = 10;

std::uint64_t pages_a_sequence(const MemoryRequest& request) {
    return (static_cast<std::uint64_t>(request.limits.positions) + kPage - 1) / kPage;
}

// Whether the cache that is asked for fits into `left` bytes, and holds a sequence.
bool cache_fits(const ModelConfig& config, const Shard& shard, const MemoryRequest& request,
                std::uint64_t left) {
    const std::uint64_t page = kv_page_bytes(config, shard, request.kv_dtype);
    const std::uint64_t budget = kv_budget(request, left, page, pages_a_sequence(request));
    return budget <= left && budget / page >= pages_a_sequence(request);
}

// What is given as it is; the rest as `rows` allow it.
BatchLimits complete(BatchLimits given, int rows) {
    BatchLimits batch = given;
    if (batch.rows == 0) batch.rows = std::max(rows, 2 * batch.sequences);
    if (batch.sequences == 0) batch.sequences = std::min({rows / 4, kMostSequences, batch.rows});
    return batch;
}

void require_room_to_load(const MemoryPlan& plan, const MemoryRequest& request, const Shard& shard) {
    const bool together = kernels::works_on_host(request.family);  // the weights, and what is read of them
    const std::uint64_t weights = together ? plan.weights : 0;
    const std::uint64_t available = together ? request.available : request.host_available;
    require(weights + plan.staging <= available, ExitCode::Checkpoint,
            "the model does not fit in memory while it is loaded: weights {} + tensors that are read and not "
            "yet packed {} on each rank, where {} is available. Use more ranks (this checkpoint runs on {})",
            bytes_text(weights), bytes_text(plan.staging), bytes_text(available),
            possible_ranks(shard.slices));
}

}  // namespace

DecoderLimits limits_of(BatchLimits batch, bool all_logits, int positions) {
    return {batch.rows, all_logits ? batch.rows : batch.sequences, positions};
}

BatchLimits choose_batch(const ModelConfig& config, const Shard& shard, const MemoryRequest& request,
                         BatchLimits given, bool all_logits) {
    if (given.sequences > 0 && given.rows > 0) return given;
    const std::uint64_t weights = weight_bytes(config, shard, request.router, request.family).all;
    const std::uint64_t left = request.available > weights ? request.available - weights : 0;
    for (int rows = kMostRows; rows > kLeastRows; rows /= 2) {
        const BatchLimits batch = complete(given, rows);
        const DecoderLimits limits = limits_of(batch, all_logits, request.limits.positions);
        const std::uint64_t workspace = workspace_bytes(config, shard, limits, request.family);
        if (workspace <= left / kWorkspaceShare && cache_fits(config, shard, request, left - workspace))
            return batch;
    }
    return complete(given, kLeastRows);
}

MemoryPlan plan_memory(const ModelConfig& config, const Shard& shard, const MemoryRequest& request) {
    MemoryPlan plan;
    const WeightBytes weights = weight_bytes(config, shard, request.router, request.family);
    plan.weights = weights.all;
    plan.staging = weights.staging;
    plan.workspace = workspace_bytes(config, shard, request.limits, request.family);
    const std::uint64_t fixed = plan.weights + plan.workspace;
    const std::uint64_t left = request.available > fixed ? request.available - fixed : 0;
    const std::uint64_t page = kv_page_bytes(config, shard, request.kv_dtype);
    const std::uint64_t one = pages_a_sequence(request);
    const std::uint64_t budget =
        kv_budget(request, left, page, one * static_cast<std::uint64_t>(request.sequences));
    plan.pages = static_cast<int>(std::min<std::uint64_t>(budget / page, 1U << 24));
    plan.kv = static_cast<std::uint64_t>(plan.pages) * page;
    plan.host = plan.staging;
    if (kernels::works_on_host(request.family))
        plan.host = plan.weights + std::max(plan.workspace + plan.kv, plan.staging);

    const std::string sum = fmt::format(
        "weights {} + workspace {} + KV cache {} ({} pages of {}) on each rank, where {} is available",
        bytes_text(plan.weights), bytes_text(plan.workspace), bytes_text(plan.kv), plan.pages,
        bytes_text(page), bytes_text(request.available));
    require(fixed + std::max(plan.kv, page) <= request.available, ExitCode::Checkpoint,
            "the model does not fit in memory: {}. Use more ranks (this checkpoint runs on {}), or a smaller "
            "--kv-memory, --max-batch or --max-batch-tokens",
            sum, possible_ranks(shard.slices));
    require_room_to_load(plan, request, shard);
    require(static_cast<std::uint64_t>(plan.pages) >= one, ExitCode::Checkpoint,
            "one sequence of {} tokens needs {} of KV cache: {}. Give --kv-memory that much, or a smaller "
            "--max-seq-len",
            request.limits.positions, bytes_text(one * page), sum);
    return plan;
}

}  // namespace sluice
