#include "jobs/plan_report.hpp"

#include "core/units.hpp"
#include "jobs/plan_commands.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <string_view>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

double billions(std::uint64_t count) { return static_cast<double>(count) / 1e9; }

std::string_view bound_of(const StepTime& time) { return time.memory_bound ? "memory" : "compute"; }

// ---- text

std::string storage_text(const PlannedModel& model) {
    const Quantization& stored = model.config.quantization;
    std::string text = fmt::format("{} matrices", name_of(stored.dtype));
    if (stored.dtype == DType::F8E4M3)
        text += fmt::format(" in blocks of {} x {}", stored.block_rows, stored.block_cols);
    if (stored.dtype == DType::I8) text += ", scales by rows";
    if (model.router == DType::F32) text += ", float32 routers";
    return text;
}

std::string head_text(const Plan& plan, const PlanOptions& options) {
    const ModelConfig& config = plan.model.config;
    std::string text = model_text(config) + "\n";
    text += fmt::format("  parameters  {:.2f} B, {:.2f} B of them active a token{}\n",
                        billions(plan.parameters.total), billions(plan.parameters.active),
                        config.mtp_layers > 0 ? " (without the multi-token-prediction layer)" : "");
    text += fmt::format("  stored as   {}, {} slices\n", storage_text(plan.model), plan.slices);
    text += fmt::format("  devices     {} of {}{}, {} a node\n", options.devices, bytes_text(plan.memory),
                        plan.claimable == plan.memory ? ""
                                                      : fmt::format(" ({} of it not to be claimed)",
                                                                    bytes_text(plan.memory - plan.claimable)),
                        options.devices_per_node);
    text += fmt::format("  a sequence  at most {} tokens; KV cache in {}\n", plan.max_length,
                        name_of(options.kv_dtype));
    return text;
}

// Its first sentence; what follows is advice on options of a run.
std::string reason(const Mesh& mesh) { return mesh.refusal.substr(0, mesh.refusal.find(". ")); }

std::string mesh_line(const Mesh& mesh) {
    std::string text = fmt::format("{:>5}", mesh.ranks);
    if (!mesh.weights) return text + fmt::format("  {}\n", reason(mesh));
    text +=
        fmt::format("  {:>11}  {:>11}", bytes_text(mesh.memory.weights), bytes_text(mesh.memory.workspace));
    if (!mesh.fits()) return text + fmt::format("  {}\n", reason(mesh));
    text += fmt::format("  {:>9}  {:>11}  {:>11}  {:>11}",
                        fmt::format("{}, {}", mesh.batch.sequences, mesh.batch.rows),
                        bytes_text(mesh.memory.kv), bytes_text(mesh.free), bytes_text(mesh.kv_token));
    for (const std::int64_t count : mesh.sequences) text += fmt::format("  {:>7}", count);
    return text + "\n";
}

std::string meshes_text(const Plan& plan) {
    std::string text =
        "\nEach rank holds (its workspace: for steps of at most so many sequences, and tokens), and how many "
        "sequences fit of so many tokens each:\n";
    text += fmt::format("{:>5}  {:>11}  {:>11}  {:>9}  {:>11}  {:>11}  {:>11}", "ranks", "weights",
                        "workspace", "a step", "KV cache", "free", "KV a token");
    for (const int length : plan.lengths) text += fmt::format("  {:>7}", length);
    text += "\n";
    for (const Mesh& mesh : plan.meshes) text += mesh_line(mesh);
    return text;
}

std::string estimates_text(const Plan& plan) {
    if (!plan.rates || plan.recommended() == nullptr) return "";
    std::string text = fmt::format(
        "\nTokens a second at best, all ranks together ({} tokens a sequence, {:.4g} TB/s and {:.4g} TFLOP/s "
        "a "
        "device;\nnothing for communication; limited by m: memory bandwidth, c: computing):\n",
        plan.context, plan.rates->bandwidth / 1e12, plan.rates->flops / 1e12);
    for (const Mesh& mesh : plan.meshes) {
        if (!mesh.fits()) continue;
        text += fmt::format("{:>5}  prefill {:.0f} {}; decode", mesh.ranks, mesh.prefill->tokens_per_second(),
                            bound_of(mesh.prefill->time)[0]);
        for (const Estimate& step : mesh.decode) {
            text += fmt::format("{} {:.0f} {} at batch {}", &step == &mesh.decode.front() ? "" : ",",
                                step.tokens_per_second(), bound_of(step.time)[0], step.batch);
        }
        text += "\n";
    }
    return text;
}

std::string commands_text(const Plan& plan, const PlanOptions& options) {
    const Mesh* mesh = plan.recommended();
    if (mesh == nullptr) {
        const bool more_ranks = plan.meshes.back().weights.has_value();
        return fmt::format(
            "\nNone fits: take {}devices with more memory, or a smaller --dtype or --max-seq-len.\n",
            more_ranks ? "more devices, " : "");
    }
    const PlanCommands commands = commands_for(plan, *mesh, options);
    std::string text = fmt::format("\n{} rank{} on {} node{}:\n", mesh->ranks, mesh->ranks == 1 ? "" : "s",
                                   commands.nodes, commands.nodes == 1 ? "" : "s");
    for (const std::string& note : commands.notes) text += fmt::format("  # {}\n", note);
    if (commands.shard) text += fmt::format("  {}\n", *commands.shard);
    return text + fmt::format("  {}\n  {}\n", commands.mpirun, commands.sbatch);
}

// ---- JSON

Json model_json(const Plan& plan) {
    const ModelConfig& config = plan.model.config;
    const Quantization& stored = config.quantization;
    Json json{{"family", config.family},
              {"layers", config.layers.size()},
              {"mtp_layers", config.mtp_layers},
              {"max_length", config.max_length},
              {"parameters", {{"total", plan.parameters.total}, {"active", plan.parameters.active}}},
              {"dtype", name_of(stored.dtype)},
              {"router_dtype", name_of(plan.model.router)}};
    if (stored.dtype == DType::F8E4M3) json["block"] = {stored.block_rows, stored.block_cols};
    if (stored.dtype == DType::I8) json["groups"] = stored.groups;
    return json;
}

Json estimate_json(const Estimate& estimate, const char* unit) {
    return {{unit, estimate.batch},
            {"step_seconds", estimate.time.seconds},
            {"tokens_per_second", estimate.tokens_per_second()},
            {"limited_by", bound_of(estimate.time)}};
}

Json mesh_json(const Plan& plan, const Mesh& mesh) {
    Json json{{"ranks", mesh.ranks}, {"fits", mesh.fits()}};
    if (!mesh.fits()) json["refusal"] = mesh.refusal;
    if (!mesh.weights) return json;
    json["weights"] = {{"bytes", mesh.weights->all},
                       {"embedding", mesh.weights->embedding},
                       {"head", mesh.weights->head},
                       {"experts", mesh.weights->experts}};
    json["workspace"] = mesh.memory.workspace;
    json["max_batch"] = mesh.batch.sequences;
    json["max_batch_tokens"] = mesh.batch.rows;
    json["kv_bytes_per_token"] = mesh.kv_token;
    if (!mesh.fits()) return json;
    json["staging"] = mesh.memory.staging;
    json["host_memory"] = mesh.memory.host;
    json["kv_cache"] = mesh.memory.kv;
    json["kv_pages"] = mesh.memory.pages;
    json["free"] = mesh.free;
    json["same_bits_as_one_rank"] = Shard{0, mesh.ranks, plan.slices}.sums_by_slices();
    json["sequences"] = Json::array();
    for (std::size_t i = 0; i < plan.lengths.size(); ++i)
        json["sequences"].push_back({{"tokens", plan.lengths[i]}, {"fit", mesh.sequences[i]}});
    if (mesh.prefill) {
        json["prefill"] = estimate_json(*mesh.prefill, "tokens");
        for (const Estimate& step : mesh.decode) json["decode"].push_back(estimate_json(step, "batch"));
    }
    return json;
}

Json recommendation_json(const Plan& plan, const PlanOptions& options) {
    const Mesh* mesh = plan.recommended();
    if (mesh == nullptr) return nullptr;
    const PlanCommands commands = commands_for(plan, *mesh, options);
    return {{"ranks", mesh->ranks},
            {"nodes", commands.nodes},
            {"ranks_per_node", commands.ranks_per_node},
            {"shard", commands.shard ? Json(*commands.shard) : Json()},
            {"mpirun", commands.mpirun},
            {"sbatch", commands.sbatch},
            {"notes", commands.notes}};
}

}  // namespace

std::string plan_text(const Plan& plan, const PlanOptions& options) {
    return head_text(plan, options) + meshes_text(plan) + estimates_text(plan) + commands_text(plan, options);
}

std::string plan_json(const Plan& plan, const PlanOptions& options) {
    Json json{{"model", model_json(plan)},
              {"slices", plan.slices},
              {"devices",
               {{"count", options.devices},
                {"per_node", options.devices_per_node},
                {"memory", plan.memory},
                {"claimable", plan.claimable}}},
              {"limits", {{"max_seq_len", plan.max_length}, {"kv_dtype", name_of(options.kv_dtype)}}},
              {"context", plan.context}};
    if (plan.rates) {
        json["devices"]["bandwidth"] = plan.rates->bandwidth;
        json["devices"]["flops"] = plan.rates->flops;
    }
    json["meshes"] = Json::array();
    for (const Mesh& mesh : plan.meshes) json["meshes"].push_back(mesh_json(plan, mesh));
    json["recommended"] = recommendation_json(plan, options);
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sluice
