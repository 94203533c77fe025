#include "jobs/plan_options.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "engine/memory_plan.hpp"
#include "jobs/option_choice.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace sluice {
namespace {

// As the vendor's data sheets have them: memory, its bandwidth, dense bfloat16 operations a second.
struct KnownDevice {
    const char* name;
    std::uint64_t memory;
    double bandwidth, flops;
};

constexpr KnownDevice kDevices[] = {{"a100", 80'000'000'000, 2.039e12, 312e12},
                                    {"h100", 80'000'000'000, 3.35e12, 989e12},
                                    {"h200", 141'000'000'000, 4.8e12, 989e12}};

const KnownDevice* known(const std::string& name) {
    const auto* found =
        std::ranges::find_if(kDevices, [&](const KnownDevice& device) { return name == device.name; });
    return found == std::end(kDevices) ? nullptr : found;
}

constexpr int kMost = 1 << 24;

void add_model(CLI::App& app, PlanOptions& o) {
    const std::string group = "Model";
    app.add_option("--config", o.config,
                   "A model's config.json, or the folder of a checkpoint: ours, or one with such a file")
        ->required()
        ->type_name("FILE|DIR")
        ->group(group);
    app.add_option(
           "--dtype", o.dtype,
           "Matrices as the model has them (keep), as bf16, as fp8 with a scale for each 128 x 128, or "
           "as int8 with a scale for each output")
        ->check(CLI::IsMember({"keep", "bf16", "fp8", "int8"}).description(""))
        ->type_name("keep|bf16|fp8|int8")
        ->capture_default_str()
        ->group(group);
    app.add_option(
           "--slices", o.slices,
           "Slices of the checkpoint, as sluice-shard takes them (default: a checkpoint's own; else as "
           "sluice-shard chooses, or twice, four times, ... as many where the devices need them)")
        ->check(CLI::Range(1, 999).description(""))
        ->type_name("G")
        ->group(group);
}

void add_devices(CLI::App& app, PlanOptions& o) {
    const std::string group = "Devices (a rank each)";
    app.add_option("--devices", o.devices, "How many there are")
        ->check(CLI::Range(1, 65536).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--devices-per-node", o.devices_per_node, "How many share a machine")
        ->check(CLI::Range(1, 65536).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option(
           "--device", o.device,
           "a100 (SXM 80 GB: 2.039 TB/s, 312 TFLOP/s), h100 (SXM 80 GB: 3.35 TB/s, 989 TFLOP/s) or h200 "
           "(141 GB: 4.8 TB/s, 989 TFLOP/s), all for dense bf16; cuda: another GPU; cpu: a share of a "
           "machine, whose memory is counted where this is left out")
        ->check(CLI::IsMember({"a100", "h100", "h200", "cuda", "cpu"}).description(""))
        ->group(group);
    app.add_option("--device-memory", o.device_memory,
                   "Memory of each, e.g. 80GiB; of a GPU, 1 GiB or a 64th is left to what nobody counts [as "
                   "--device has]")
        ->group(group);
    app.add_option("--bandwidth", o.bandwidth, "Of its memory, a second, e.g. 3.35TB [as --device has]")
        ->group(group);
    app.add_option("--flops", o.flops,
                   "Floating-point operations a second, e.g. 989e12 [as --device has]; with a bandwidth, "
                   "speeds are estimated")
        ->group(group);
}

void add_batching(CLI::App& app, PlanOptions& o) {
    const std::string group = "Memory and batching (as sluice-generate will be told)";
    app.add_option("--max-batch", o.max_batch,
                   "Most sequences at once; 0: the run chooses by what steps cost (at most 256)")
        ->check(CLI::Range(0, kMostBatch).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-batch-tokens", o.max_batch_tokens,
                   "Most tokens of a step; 0: the run chooses by what steps cost (at most 1024)")
        ->check(CLI::Range(0, kMostBatch).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-seq-len", o.max_seq_len,
                   "Most tokens of prompt and completion together; 0: the model's")
        ->check(CLI::Range(0, kMost).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--kv-memory", o.kv_memory,
                   "KV cache of each rank: an amount (20GiB), or a share (80%) of what weights leave [what "
                   "--max-batch sequences can use, at most 80%]")
        ->group(group);
    add_kv_dtype(app, o.kv_dtype)->group(group);
}

void add_questions(CLI::App& app, PlanOptions& o) {
    const std::string group = "Questions and answers";
    app.add_option("--lengths", o.lengths,
                   "How many sequences of so many tokens fit (the longest possible is always asked)")
        ->delimiter(',')
        ->check(CLI::Range(1, kMost).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--batch", o.batches, "Estimate steps of so many sequences")
        ->delimiter(',')
        ->check(CLI::Range(1, kMost).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--context", o.context,
                   "Estimate for sequences of so many tokens while decoding, prompts of so many in prefill")
        ->check(CLI::Range(1, kMost).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_flag("--json", o.json, "Print JSON, with everything in it")->group(group);
    app.footer(
        "Estimates are upper bounds: a step takes the longer of bytes / bandwidth and operations / peak on "
        "the "
        "fullest rank, and nothing for communication.\n"
        "  decoding b sequences   bytes: weights without the embedding and without experts that no token "
        "chose "
        "(b tokens choose E (1 - (1 - k/E)^b) of E experts, k a token) + b caches of --context tokens;\n"
        "                         operations: b x (2 a weight multiplied with + attention)\n"
        "  prefill                the same for steps of the most tokens that look back on half of "
        "--context, without\n"
        "                         the output matrix: few of a prompt's tokens want logits");
}

}  // namespace

std::uint64_t PlanOptions::memory() const {
    const KnownDevice* named = known(device);
    return device_memory.empty() && named != nullptr ? named->memory
                                                     : parse_bytes(device_memory, "--device-memory");
}

std::optional<DeviceRates> PlanOptions::rates() const {
    const KnownDevice* named = known(device);
    DeviceRates rates;
    if (named != nullptr) rates = {named->bandwidth, named->flops};
    if (!bandwidth.empty()) rates.bandwidth = static_cast<double>(parse_bytes(bandwidth, "--bandwidth"));
    if (flops > 0) rates.flops = flops;
    if (rates.bandwidth == 0 || rates.flops == 0) return std::nullopt;
    return rates;
}

void add_plan_options(CLI::App& app, PlanOptions& options) {
    add_model(app, options);
    add_devices(app, options);
    add_batching(app, options);
    add_questions(app, options);
}

void check_plan_options(const PlanOptions& o) {
    require(!o.device_memory.empty() || known(o.device) != nullptr, ExitCode::Usage,
            "--device-memory is missing: say how much each device has, e.g. 80GiB, or name a --device");
    require(!o.gpu() || o.kv_dtype != DType::F32, ExitCode::Usage,
            "--kv-dtype f32: on GPUs the cache is bf16 or fp8");
    require(o.memory() > 0, ExitCode::Usage, "--device-memory {}: a device without memory", o.device_memory);
    require(o.bandwidth.empty() || parse_bytes(o.bandwidth, "--bandwidth") > 0, ExitCode::Usage,
            "--bandwidth {}: it must be positive", o.bandwidth);
    require(std::isfinite(o.flops) && o.flops >= 0, ExitCode::Usage, "--flops {}: it must be positive",
            o.flops);
    require(o.max_batch_tokens == 0 || o.max_batch_tokens >= o.max_batch, ExitCode::Usage,
            "--max-batch-tokens {} is less than --max-batch {}: every running sequence needs a token of each "
            "step",
            o.max_batch_tokens, o.max_batch);
}

}  // namespace sluice
