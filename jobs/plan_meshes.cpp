#include "jobs/plan_meshes.hpp"

#include "backend/available_memory.hpp"
#include "core/error.hpp"
#include "kernels/args.hpp"
#include "model/kv_cache.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <ranges>

namespace sluice {
namespace {

int choose_slices(const PlannedModel& model, const PlanOptions& options) {
    if (options.slices > 0) {
        std::string why;
        if (can_slice(model.config, options.slices, &why)) return options.slices;
        int most = options.slices - 1;
        while (!can_slice(model.config, most, nullptr)) --most;  // 1 is always possible
        fail(ExitCode::Usage, "--slices {}: {}; at most {} are possible", options.slices, why, most);
    }
    if (model.slices > 0) return model.slices;
    int slices = default_slices(model.config);
    while (2 * slices <= options.devices && can_slice(model.config, 2 * slices, nullptr)) slices *= 2;
    return slices;
}

// The divisors of the slices, and the powers of two: those that do not divide them are worth a reason.
std::vector<int> rank_counts(int slices, int devices) {
    std::vector<int> counts;
    for (int ranks = 1; ranks <= devices; ++ranks) {
        const bool divides = ranks <= slices && slices % ranks == 0;
        if (divides || std::has_single_bit(static_cast<unsigned>(ranks))) counts.push_back(ranks);
    }
    return counts;
}

std::string why_not(const ModelConfig& config, int ranks, int slices) {
    std::string why;
    if (!can_slice(config, ranks, &why)) return why;
    return fmt::format("{} slices do not share evenly; a checkpoint of {} slices would", slices, ranks);
}

class Planner {
public:
    Planner(const Plan& plan, const PlanOptions& options) : plan_(plan), options_(options) {
        request_.available = plan.claimable;
        request_.host_available = std::numeric_limits<std::uint64_t>::max();  // nobody said
        request_.kv_memory = options.kv_memory;
        request_.kv_dtype = options.kv_dtype;
        request_.router = plan.model.router;
        request_.family = options.gpu() ? kernels::Family::Cuda : kernels::Family::Cpu;
        request_.limits.positions = plan.max_length;
    }

    Mesh mesh(int ranks) const {
        Mesh mesh;
        mesh.ranks = ranks;
        if (plan_.slices % ranks != 0) {
            mesh.refusal = why_not(config(), ranks, plan_.slices);
            return mesh;
        }
        try {
            plan(mesh);
        } catch (const Error& refused) {
            if (refused.code() != ExitCode::Checkpoint) throw;
            mesh.refusal = refused.what();
        }
        return mesh;
    }

private:
    const ModelConfig& config() const { return plan_.model.config; }

    void plan(Mesh& mesh) const {
        const Shard fullest = find_fullest(mesh);
        mesh.kv_token = kv_page_bytes(config(), fullest, options_.kv_dtype) / kernels::kPageTokens;
        mesh.batch =
            choose_batch(config(), fullest, request_, {options_.max_batch, options_.max_batch_tokens}, false);
        MemoryRequest request = request_;
        request.sequences = mesh.batch.sequences;
        request.limits = limits_of(mesh.batch, false, plan_.max_length);
        mesh.memory.workspace = workspace_bytes(config(), fullest, request.limits, request_.family);
        claim(mesh, request);
        for (const int length : plan_.lengths) mesh.sequences.push_back(sequences(mesh, length));
        if (plan_.rates) estimate(mesh, fullest);
    }

    Shard find_fullest(Mesh& mesh) const {
        Shard fullest{0, mesh.ranks, plan_.slices};
        for (Shard shard = fullest; shard.rank < mesh.ranks; ++shard.rank) {
            const WeightBytes bytes = weight_bytes(config(), shard, request_.router, request_.family);
            if (mesh.weights && bytes.all <= mesh.weights->all) continue;
            mesh.weights = bytes;
            fullest = shard;
        }
        mesh.memory.weights = mesh.weights->all;
        return fullest;
    }

    // Every rank must fit, and all have the pages of the one with the least room.
    void claim(Mesh& mesh, const MemoryRequest& request) const {
        mesh.memory.pages = std::numeric_limits<int>::max();
        mesh.free = std::numeric_limits<std::uint64_t>::max();
        for (int rank = 0; rank < mesh.ranks; ++rank) {
            const MemoryPlan mine = plan_memory(config(), {rank, mesh.ranks, plan_.slices}, request);
            mesh.memory.workspace = std::max(mesh.memory.workspace, mine.workspace);
            mesh.memory.staging = std::max(mesh.memory.staging, mine.staging);
            mesh.memory.host = std::max(mesh.memory.host, mine.host);
            if (mine.pages < mesh.memory.pages) {
                mesh.memory.pages = mine.pages;
                mesh.memory.kv = mine.kv;
            }
            mesh.free = std::min(mesh.free, plan_.claimable - mine.weights - mine.workspace - mine.kv);
        }
    }

    static std::int64_t sequences(const Mesh& mesh, int length) {
        return mesh.memory.pages / ((length + kernels::kPageTokens - 1) / kernels::kPageTokens);
    }

    void estimate(Mesh& mesh, const Shard& shard) const {
        const Roofline roofline(config(), shard, *mesh.weights, options_.kv_dtype);
        const auto most =
            static_cast<int>(std::min<std::int64_t>(sequences(mesh, plan_.context), mesh.batch.sequences));
        std::vector<int> batches = options_.batches;
        std::ranges::sort(batches);
        for (const int wanted : batches) {
            const int batch = std::min(wanted, most);
            if (!mesh.decode.empty() && mesh.decode.back().batch >= batch) continue;
            mesh.decode.push_back({batch, least_time(roofline.decode(batch, plan_.context), *plan_.rates)});
        }
        mesh.prefill = Estimate{mesh.batch.rows,
                                least_time(roofline.prefill(mesh.batch.rows, plan_.context), *plan_.rates)};
    }

    const Plan& plan_;
    const PlanOptions& options_;
    MemoryRequest request_;
};

}  // namespace

const Mesh* Plan::recommended() const {
    const auto found = std::ranges::find_if(meshes.rbegin(), meshes.rend(), &Mesh::fits);
    return found == meshes.rend() ? nullptr : &*found;
}

Plan make_plan(PlannedModel model, const PlanOptions& options) {
    const int longest = model.config.max_length;
    require(options.max_seq_len <= longest, ExitCode::Usage, "--max-seq-len {}: the model has {} positions",
            options.max_seq_len, longest);
    Plan plan;
    plan.parameters = count_parameters(model.config);
    plan.slices = choose_slices(model, options);
    plan.max_length = options.max_seq_len > 0 ? options.max_seq_len : longest;
    plan.memory = options.memory();
    plan.claimable = options.gpu() ? claimable_memory(plan.memory, plan.memory) : plan.memory;
    plan.rates = options.rates();
    plan.context = std::min(options.context, plan.max_length);
    plan.model = std::move(model);
    for (const int length : options.lengths)
        if (length < plan.max_length) plan.lengths.push_back(length);
    plan.lengths.push_back(plan.max_length);
    std::ranges::sort(plan.lengths);
    const auto repeated = std::ranges::unique(plan.lengths);
    plan.lengths.erase(repeated.begin(), repeated.end());
    const Planner planner(plan, options);
    for (const int ranks : rank_counts(plan.slices, options.devices))
        plan.meshes.push_back(planner.mesh(ranks));
    return plan;
}

}  // namespace sluice
