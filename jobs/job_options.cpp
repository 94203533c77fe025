#include "jobs/job_options.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "engine/memory_plan.hpp"
#include "jobs/option_choice.hpp"
#include "text/chat_formats.hpp"

#include <CLI/CLI.hpp>

#include <limits>
#include <map>
#include <tuple>

namespace sluice {
namespace {

// An option that `parse` reads, whose errors are the command line's.
template <class Parse>
CLI::Option* parsed(CLI::App& app, const std::string& name, Parse parse, const std::string& help) {
    const auto read = [name, parse](const std::string& text) {
        try {
            parse(text);
        } catch (const Error& problem) {
            throw CLI::ValidationError(problem.what());
        }
    };
    return app.add_option_function<std::string>(name, read, help);
}

std::string descriptions_of(std::span<const ChatFormat> formats) {
    std::string lines;
    for (const ChatFormat& format : formats)
        lines += fmt::format("\n  {:<12} {}", format.name, format.description);
    return lines;
}

constexpr const char* kRanks = "Ranks and devices";

}  // namespace

OutputMode JobOptions::output_mode() const {
    if (resume) return OutputMode::Resume;
    return overwrite ? OutputMode::Overwrite : OutputMode::Fresh;
}

void add_model(CLI::App& app, JobOptions& o, const std::string& group) {
    app.add_option("--model", o.model, "Sluice checkpoint, a folder made by sluice-shard")
        ->required()
        ->group(group);
    app.add_option(
           "--stage-dir", o.stage_dir,
           "Folder on each machine's own disk: its part of the model is copied there first, and found "
           "there by later runs")
        ->group(group);
}

void add_files(CLI::App& app, JobOptions& o, const FileWords& words) {
    const std::string group = "Files";
    add_model(app, o, group);
    app.add_option(words.input, o.prompts, words.input_help)->required()->group(group);
    app.add_option("--output", o.output, words.output_help)->required()->group(group);
    choice(app, "--prompt-format", o.prompt_format,
           {{"auto", PromptFormat::Auto},
            {"txt", PromptFormat::Txt},
            {"jsonl", PromptFormat::Jsonl},
            {"openai", PromptFormat::OpenAi}},
           "auto (by file name, then by content), txt (a prompt a line), jsonl (an object a line) or openai "
           "(a request of its Batch API a line) [auto]")
        ->group(group);
    app.add_option("--field", o.field,
                   "Member of a jsonl line that holds its prompt; all others but id and meta are passed over")
        ->group(group);
    parsed(
        app, "--partition",
        [&o](const std::string& text) {
            const auto partition = parse_partition(text);
            require(partition.has_value(), ExitCode::Usage, "--partition: '{}' is not I/N with I from 1 to N",
                    text);
            o.partition = *partition;
        },
        "I/N: part I, from 1, of N parts, of which each line of the input belongs to one")
        ->group(group);
    app.add_flag("--ordered", o.ordered, "Answers in the order of the input, instead of as they finish")
        ->group(group);
    auto* resume =
        app.add_flag("--resume", o.resume, "Complete an existing output: finished requests are kept");
    auto* overwrite = app.add_flag("--overwrite", o.overwrite, "Replace an existing output");
    resume->group(group)->excludes(overwrite);
    overwrite->group(group);
    parsed(
        app, "--sync-every",
        [&o](const std::string& text) { o.sync_seconds = parse_duration(text, "--sync-every"); },
        "How much work the loss of power may cost at most; 0: every line is on the disk before the next is "
        "written [30s]")
        ->group(group);
    app.add_flag("--dry-run", o.dry_run, "Check everything, print the plan, write nothing")->group(group);
}

void add_stopping(CLI::App& app, JobOptions& o) {
    const std::string group = "Stopping early (exit code 75, but for --max-errors: run again with --resume)";
    const auto duration = [&](const std::string& name, double& seconds, const std::string& help) {
        parsed(
            app, name, [&seconds, name](const std::string& text) { seconds = parse_duration(text, name); },
            help)
            ->group(group);
    };
    duration("--time-limit", o.stop.time_limit, "Stop after this time, e.g. 30m or 3:59:00 [none]");
    duration("--stop-margin", o.stop.margin,
             "Stop this long before the Slurm job ends, which SLURM_JOB_END_TIME tells [60s]");
    app.add_option("--stop-file", o.stop.file, "Stop when this file is there")->group(group);
    app.add_option("--max-errors", o.stop.max_errors,
                   "Stop with exit code 4 when the output holds N error records; 0: never")
        ->capture_default_str()
        ->group(group);
}

void add_chat(CLI::App& app, JobOptions& o, const std::string& group) {
    auto* chat = app.add_flag("--chat", o.chat, "Plain prompts become a user's message in the chat format");
    auto* raw = app.add_flag("--raw", o.raw, "Plain prompts are taken as they are (the default)");
    chat->group(group)->excludes(raw);
    raw->group(group);
    add_chat_format(app, o.chat_format, group);
    app.add_option("--system", o.system, "System message of conversations that have none")->group(group);
}

void add_chat_format(CLI::App& app, std::string& format, const std::string& group) {
    std::vector<std::string> formats = names_of(chat_formats());
    formats.insert(formats.begin(), kOwnTemplate);
    app.add_option("--chat-format", format,
                   fmt::format("Of conversations: {} (the checkpoint's own), or instead of it{}",
                               kOwnTemplate, descriptions_of(chat_formats())))
        ->check(CLI::IsMember(formats).description(""))
        ->capture_default_str()
        ->group(group);
}

void add_ranks(CLI::App& app, JobOptions& o) {
    const std::string group = kRanks;
    app.add_option("--tp", o.tp, "Tensor-parallel ranks; 0: all ranks of the job")
        ->capture_default_str()
        ->group(group);
    app.add_option("--device", o.device, "auto (the CPU, so far), cpu, or cuda (untried: see the README)")
        ->check(CLI::IsMember({"auto", "cpu", "cuda"}).description(""))
        ->capture_default_str()
        ->group(group);
    choice(app, "--gemm", o.gemm, {{"bf16", kernels::Products::Bf16}, {"fp8", kernels::Products::Fp8}},
           "Activations in products with quantised weights: bf16, or fp8 as DeepSeek-V3's own code [bf16]")
        ->group(group);
}

void add_machine(CLI::App& app, JobOptions& o) {
    add_ranks(app, o);
    app.add_option("--threads", o.threads, "Threads of each rank; 0: its share of the processors it may use")
        ->capture_default_str()
        ->group(kRanks);
}

void add_batching(CLI::App& app, JobOptions& o) {
    const std::string group = "Memory and batching (results do not depend on them)";
    app.add_option("--max-batch", o.max_batch,
                   "Most sequences at once; 0: as many as pay off, by what steps cost (at most 256)")
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-batch-tokens", o.max_batch_tokens,
                   "Most tokens of a step; 0: as many as pay off, by what steps cost (at most 1024)")
        ->capture_default_str()
        ->group(group);
    app.add_option("--prefill-chunk", o.prefill_chunk,
                   "Most prompt tokens of one sequence in a step; 0: all that the step has room for")
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
    add_kv_dtype(app, o.kv_dtype)->group(group);
    app.add_flag("--prefix-sharing,!--no-prefix-sharing", o.prefix_sharing,
                 "Compute equal beginnings of prompts once [on]")
        ->group(group);
}

void add_reports(CLI::App& app, JobOptions& o) {
    choice(app, "--progress", o.progress,
           {{"auto", Progress::Mode::Auto}, {"plain", Progress::Mode::Plain}, {"off", Progress::Mode::Off}},
           "auto (a live line on a terminal), plain (a line every 10 s) or off [auto]")
        ->group("Reports");
}

void add_metrics(CLI::App& app, JobOptions& o) {
    app.add_option(
           "--metrics", o.metrics,
           "File that says every five seconds how the run is going: JSON, or for Prometheus' text-file "
           "collector where it is called .prom")
        ->group("Reports");
}

void check_job_options(const JobOptions& o) {
    constexpr int kAny = std::numeric_limits<int>::max();
    const std::tuple<const char*, int, int> amounts[] = {
        {"--max-batch", o.max_batch, kMostBatch},
        {"--max-batch-tokens", o.max_batch_tokens, kMostBatch},
        {"--prefill-chunk", o.prefill_chunk, kAny},
        {"--tp", o.tp, kAny},
        {"--threads", o.threads, 1024},
        {"--max-seq-len", o.max_seq_len, kAny}};
    for (const auto& [name, value, most] : amounts) {
        require(value >= 0, ExitCode::Usage, "{} is {}; it cannot be negative", name, value);
        require(value <= most, ExitCode::Usage, "{} is {}; it can be at most {}", name, value, most);
    }
    require(o.stop.max_errors >= 0, ExitCode::Usage, "--max-errors is {}; it cannot be negative",
            o.stop.max_errors);
    require(o.max_batch_tokens == 0 || o.max_batch_tokens >= o.max_batch, ExitCode::Usage,
            "--max-batch-tokens {} is less than --max-batch {}: every running sequence needs a token of each "
            "step",
            o.max_batch_tokens, o.max_batch);
}

}  // namespace sluice
