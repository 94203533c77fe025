#include "jobs/plan_commands.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

// A word as a POSIX shell takes it back.
std::string shell_word(std::string_view word) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
}

// Names to fill in stand in capitals.
std::string source_folder(const PlanOptions& options) {
    return std::filesystem::is_directory(options.config) ? shell_word(options.config.string()) : "SOURCE";
}

std::string model_folder(const Plan& plan, const PlanOptions& options) {
    return plan.slices == plan.model.slices ? shell_word(options.config.string()) : "MODEL";
}

// What was planned with, besides the files. The cache's size is given in bytes: on the job's own memory
// limit, a share would come out smaller.
std::string limits(const Plan& plan, const Mesh& mesh, const PlanOptions& options) {
    std::string line = fmt::format("--kv-memory {}", mesh.memory.kv);
    if (options.max_batch > 0) line += fmt::format(" --max-batch {}", options.max_batch);
    if (options.max_batch_tokens > 0) line += fmt::format(" --max-batch-tokens {}", options.max_batch_tokens);
    if (plan.max_length < plan.model.config.max_length)
        line += fmt::format(" --max-seq-len {}", plan.max_length);
    if (options.kv_dtype != DType::BF16)
        line += options.kv_dtype == DType::F32 ? " --kv-dtype f32" : " --kv-dtype fp8";
    if (options.gpu()) line += " --device cuda";
    return line;
}

// sluice-shard keeps the matrices' type, or makes bfloat16 of them.
bool cannot_be_made(const Plan& plan) {
    return plan.model.retyped && plan.model.config.quantization.dtype != DType::BF16;
}

std::vector<std::string> notes(const Plan& plan, const PlanOptions& options) {
    std::vector<std::string> notes;
    if (cannot_be_made(plan)) {
        notes.push_back(
            fmt::format("MODEL: sluice-shard does not make {} matrices of these, so there is no "
                        "command for it",
                        name_of(plan.model.config.quantization.dtype)));
    }
    if (options.gpu()) notes.emplace_back("no GPU has run --device cuda so far");
    return notes;
}

std::optional<std::string> shard(const Plan& plan, const PlanOptions& options) {
    if (plan.slices == plan.model.slices || cannot_be_made(plan)) return std::nullopt;
    // A checkpoint of ours is cut anew from what it was made of.
    const std::string source = plan.model.ours ? "SOURCE" : source_folder(options);
    return fmt::format("sluice-shard --input {} --output MODEL --slices {}{}", source, plan.slices,
                       options.dtype == "bf16" ? " --dtype bf16" : "");
}

// What a rank has at its peak, and what nobody counts: the program, its libraries, tokenizer and requests,
// and what a GPU's driver and links hold on the host.
std::uint64_t mebibytes_a_rank(const Mesh& mesh, bool gpu) {
    return ((mesh.memory.host + (gpu ? 4ULL << 30 : 1ULL << 30)) >> 20) + 1;
}

}  // namespace

PlanCommands commands_for(const Plan& plan, const Mesh& mesh, const PlanOptions& options) {
    PlanCommands commands;
    commands.nodes = (mesh.ranks + options.devices_per_node - 1) / options.devices_per_node;
    commands.ranks_per_node = (mesh.ranks + commands.nodes - 1) / commands.nodes;
    const int per_node = commands.ranks_per_node;
    const std::string model = model_folder(plan, options);
    const std::string rest = limits(plan, mesh, options);
    commands.shard = shard(plan, options);
    commands.notes = notes(plan, options);
    commands.mpirun = fmt::format(
        "mpirun -n {} --map-by ppr:{}:node --bind-to none sluice-generate --model {} --prompts prompts.jsonl "
        "--output completions.jsonl {}",
        mesh.ranks, per_node, model, rest);
    commands.sbatch = fmt::format(
        "MODEL={} PROMPTS=prompts.jsonl OUTPUT=completions.jsonl sbatch --nodes={} --ntasks={} "
        "--ntasks-per-node={}{} --mem={}M slurm/generate.sbatch {}",
        model, commands.nodes, mesh.ranks, per_node,
        options.gpu() ? fmt::format(" --gpus-per-node={}", per_node) : "",
        mebibytes_a_rank(mesh, options.gpu()) * static_cast<std::uint64_t>(per_node), rest);
    return commands;
}

}  // namespace sluice
