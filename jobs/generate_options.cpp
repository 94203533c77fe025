#include "jobs/generate_options.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "text/request_json.hpp"

#include <CLI/CLI.hpp>

#include <map>

namespace sluice {
namespace {

template <class T>
CLI::Option* choice(CLI::App& app, const std::string& name, T& value, const std::map<std::string, T>& names,
                    const std::string& help) {
    return app
        .add_option_function<std::string>(
            name, [&value, names](const std::string& word) { value = names.at(word); }, help)
        ->check(CLI::IsMember(names).description(""));
}

void add_files(CLI::App& app, GenerateOptions& o) {
    const std::string group = "Files";
    app.add_option("--model", o.model, "Sluice checkpoint, a folder made by sluice-shard")
        ->required()
        ->group(group);
    app.add_option("--prompts", o.prompts, "Prompt files, txt or jsonl; '-' is standard input")
        ->required()
        ->group(group);
    app.add_option("--output", o.output, "Completion file (jsonl), written as requests finish")
        ->required()
        ->group(group);
    choice(app, "--prompt-format", o.prompt_format,
           {{"auto", PromptFormat::Auto}, {"txt", PromptFormat::Txt}, {"jsonl", PromptFormat::Jsonl}},
           "auto (by file name, then by content), txt (a prompt a line) or jsonl (an object a line) [auto]")
        ->group(group);
    auto* resume =
        app.add_flag("--resume", o.resume, "Complete an existing output: finished requests are kept");
    auto* overwrite = app.add_flag("--overwrite", o.overwrite, "Replace an existing output");
    resume->group(group)->excludes(overwrite);
    overwrite->group(group);
    app.add_flag("--dry-run", o.dry_run, "Check everything, print the plan, write nothing")->group(group);
}

void add_sampling(CLI::App& app, GenerateOptions& o) {
    const std::string group = "Sampling (defaults; a jsonl line may set its own)";
    Sampling& s = o.sampling;
    app.add_option("--max-new-tokens", s.max_new_tokens, "Most tokens of a completion")
        ->capture_default_str()
        ->group(group);
    app.add_option("--temperature", s.temperature, "0: greedy")->capture_default_str()->group(group);
    app.add_option("--top-k", s.top_k, "Only the K best tokens; 0: off")->capture_default_str()->group(group);
    app.add_option("--top-p", s.top_p, "Only the best tokens that together have probability P; 1: off")
        ->capture_default_str()
        ->group(group);
    app.add_option("--min-p", s.min_p, "Only tokens at least P times as likely as the best; 0: off")
        ->capture_default_str()
        ->group(group);
    app.add_option("--repetition-penalty", s.repetition_penalty,
                   "Makes tokens already present less likely; 1: off")
        ->capture_default_str()
        ->group(group);
    app.add_option("--seed", s.seed, "Of the random numbers: same prompt and seed, same completion")
        ->capture_default_str()
        ->group(group);
    app.add_option("--stop", s.stop, "Text at which a completion ends; repeatable")
        ->take_all()
        ->allow_extra_args(false)
        ->group(group);
    app.add_flag("--ignore-eos", s.ignore_eos, "Generate past the end-of-sequence token")->group(group);
    app.add_flag("--return-tokens", o.return_tokens, "Add the completion's token ids to each line")
        ->group(group);
    auto* chat = app.add_flag("--chat", o.chat,
                              "Plain prompts become a user's message in the checkpoint's chat format");
    auto* raw = app.add_flag("--raw", o.raw, "Plain prompts are continued as they are (the default)");
    chat->group(group)->excludes(raw);
    raw->group(group);
    app.add_option("--system", o.system, "System message of conversations that have none")->group(group);
}

void add_machine(CLI::App& app, GenerateOptions& o) {
    const std::string group = "Ranks and devices";
    app.add_option("--tp", o.tp, "Tensor-parallel ranks; 0: all ranks of the job")
        ->capture_default_str()
        ->group(group);
    app.add_option("--device", o.device, "auto or cpu")
        ->check(CLI::IsMember({"auto", "cpu"}))
        ->capture_default_str()
        ->group(group);
    app.add_option("--threads", o.threads, "Threads of each rank; 0: its share of the processors it may use")
        ->capture_default_str()
        ->group(group);
    choice(app, "--gemm", o.gemm, {{"bf16", kernels::Products::Bf16}, {"fp8", kernels::Products::Fp8}},
           "Activations in products with quantised weights: bf16, or fp8 as DeepSeek-V3's own code [bf16]")
        ->group(group);
}

void add_batching(CLI::App& app, GenerateOptions& o) {
    const std::string group = "Memory and batching (results do not depend on them)";
    app.add_option("--max-batch", o.max_batch, "Most sequences at once")->capture_default_str()->group(group);
    app.add_option("--max-batch-tokens", o.max_batch_tokens, "Most tokens of a step")
        ->capture_default_str()
        ->group(group);
    app.add_option("--prefill-chunk", o.prefill_chunk, "Most prompt tokens of one sequence in a step")
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-seq-len", o.max_seq_len,
                   "Most tokens of prompt and completion together; 0: the model's")
        ->capture_default_str()
        ->group(group);
    app.add_option("--kv-memory", o.kv_memory,
                   "KV cache of each rank: an amount (20GiB), or a share (80%) of what weights leave [what "
                   "--max-batch "
                   "sequences can use, at most 80%]")
        ->group(group);
    choice(app, "--kv-dtype", o.kv_dtype, {{"bf16", DType::BF16}, {"f32", DType::F32}},
           "bf16 or f32; changes results [bf16]")
        ->group(group);
    app.add_flag("--prefix-sharing,!--no-prefix-sharing", o.prefix_sharing,
                 "Compute equal beginnings of prompts once [on]")
        ->group(group);
}

void add_reports(CLI::App& app, GenerateOptions& o) {
    choice(app, "--progress", o.progress,
           {{"auto", Progress::Mode::Auto}, {"plain", Progress::Mode::Plain}, {"off", Progress::Mode::Off}},
           "auto (a live line on a terminal), plain (a line every 10 s) or off [auto]")
        ->group("Reports");
}

}  // namespace

OutputMode GenerateOptions::output_mode() const {
    if (resume) return OutputMode::Resume;
    return overwrite ? OutputMode::Overwrite : OutputMode::Fresh;
}

void add_generate_options(CLI::App& app, GenerateOptions& options) {
    add_files(app, options);
    add_sampling(app, options);
    add_machine(app, options);
    add_batching(app, options);
    add_reports(app, options);
}

void check_generate_options(const GenerateOptions& o) {
    if (const auto problem = check(o.sampling)) fail(ExitCode::Usage, "{}", problem->message);
    const std::pair<const char*, int> counts[] = {{"--max-batch", o.max_batch},
                                                  {"--max-batch-tokens", o.max_batch_tokens},
                                                  {"--prefill-chunk", o.prefill_chunk}};
    for (const auto& [name, value] : counts)
        require(value >= 1, ExitCode::Usage, "{} is {}; it must be at least 1", name, value);
    const std::pair<const char*, int> amounts[] = {
        {"--tp", o.tp}, {"--threads", o.threads}, {"--max-seq-len", o.max_seq_len}};
    for (const auto& [name, value] : amounts)
        require(value >= 0, ExitCode::Usage, "{} is {}; it cannot be negative", name, value);
    require(o.threads <= 1024, ExitCode::Usage, "--threads is {}; it can be at most 1024", o.threads);
    require(o.max_batch_tokens >= o.max_batch, ExitCode::Usage,
            "--max-batch-tokens {} is less than --max-batch {}: every running sequence needs a token of each "
            "step",
            o.max_batch_tokens, o.max_batch);
}

}  // namespace sluice
