#include "engine/memory_plan.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "kernels/args.hpp"
#include "model/kv_cache.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>

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

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t read_number(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    return file >> value ? value : kUnlimited;
}

// The value of `key` in a file of "key value" lines, 0 without.
std::uint64_t read_key(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    std::string name;
    for (std::uint64_t value = 0; file >> name >> value;) {
        if (name == key) return value;
    }
    return 0;
}

// What one control group (version 2) leaves of its limit; its file cache can be given up.
std::uint64_t group_leaves(const std::string& path) {
    const std::uint64_t limit = read_number(path + "/memory.max");
    const std::uint64_t used = read_number(path + "/memory.current");
    if (limit == kUnlimited || used == kUnlimited) return kUnlimited;
    const std::string detail = path + "/memory.stat";
    const std::uint64_t cache = read_key(detail, "inactive_file") + read_key(detail, "active_file");
    const std::uint64_t kept = used > cache ? used - cache : 0;
    return limit > kept ? limit - kept : 0;
}

// The least that this process's group and those around it leave: Slurm limits the job's, not the task's.
std::uint64_t control_groups_leave() {
    std::string path;
    std::ifstream membership("/proc/self/cgroup");
    for (std::string line; std::getline(membership, line);) {
        if (line.starts_with("0::")) path = line.substr(3);
    }
    std::uint64_t least = group_leaves("/sys/fs/cgroup");
    for (; path.size() > 1; path.resize(path.rfind('/')))
        least = std::min(least, group_leaves("/sys/fs/cgroup" + path));
    return least;
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

}  // namespace

DecoderLimits limits_of(BatchLimits batch, bool all_logits, int positions) {
    return {batch.rows, all_logits ? batch.rows : batch.sequences, positions};
}

BatchLimits choose_batch(const ModelConfig& config, const Shard& shard, const MemoryRequest& request,
                         BatchLimits given, bool all_logits) {
    if (given.sequences > 0 && given.rows > 0) return given;
    const Ops ops(request.family, 1);
    const std::uint64_t weights = weight_bytes(config, shard, request.router, ops).all;
    const std::uint64_t left = request.available > weights ? request.available - weights : 0;
    for (int rows = kMostRows; rows > kLeastRows; rows /= 2) {
        const BatchLimits batch = complete(given, rows);
        const DecoderLimits limits = limits_of(batch, all_logits, request.limits.positions);
        const std::uint64_t workspace = workspace_bytes(config, shard, limits);
        if (workspace <= left / kWorkspaceShare && cache_fits(config, shard, request, left - workspace))
            return batch;
    }
    return complete(given, kLeastRows);
}

MemoryPlan plan_memory(const ModelConfig& config, const Shard& shard, const MemoryRequest& request) {
    MemoryPlan plan;
    const Ops ops(request.family, 1);
    const WeightBytes weights = weight_bytes(config, shard, request.router, ops);
    plan.weights = weights.all;
    plan.staging = weights.staging;
    plan.workspace = workspace_bytes(config, shard, request.limits);
    const std::uint64_t fixed = plan.weights + plan.workspace;
    const std::uint64_t left = request.available > fixed ? request.available - fixed : 0;
    const std::uint64_t page = kv_page_bytes(config, shard, request.kv_dtype);
    const std::uint64_t one = pages_a_sequence(request);
    const std::uint64_t budget =
        kv_budget(request, left, page, one * static_cast<std::uint64_t>(request.sequences));
    plan.pages = static_cast<int>(std::min<std::uint64_t>(budget / page, 1U << 24));
    plan.kv = static_cast<std::uint64_t>(plan.pages) * page;

    const std::string sum = fmt::format(
        "weights {} + workspace {} + KV cache {} ({} pages of {}) on each rank, where {} is available",
        bytes_text(plan.weights), bytes_text(plan.workspace), bytes_text(plan.kv), plan.pages,
        bytes_text(page), bytes_text(request.available));
    require(fixed + std::max(plan.kv, page) <= request.available, ExitCode::Checkpoint,
            "the model does not fit in memory: {}. Use more ranks (this checkpoint runs on {}), or a smaller "
            "--kv-memory, --max-batch or --max-batch-tokens",
            sum, possible_ranks(shard.slices));
    require(plan.weights + plan.staging <= request.available, ExitCode::Checkpoint,
            "the model does not fit in memory while it is loaded: weights {} + tensors that are read and not "
            "yet packed {} on each rank, where {} is available. Use more ranks (this checkpoint runs on {})",
            bytes_text(plan.weights), bytes_text(plan.staging), bytes_text(request.available),
            possible_ranks(shard.slices));
    require(static_cast<std::uint64_t>(plan.pages) >= one, ExitCode::Checkpoint,
            "one sequence of {} tokens needs {} of KV cache: {}. Give --kv-memory that much, or a smaller "
            "--max-seq-len",
            request.limits.positions, bytes_text(one * page), sum);
    return plan;
}

std::uint64_t available_host_memory() {
    std::uint64_t available = kUnlimited;
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(13)) * 1024;
    }
    return std::min(available, control_groups_leave());
}

}  // namespace sluice
