#include "jobs/generate_options.hpp"

#include "core/error.hpp"
#include "core/program.hpp"
#include "jobs/option_choice.hpp"
#include "text/sampling_json.hpp"

#include <CLI/CLI.hpp>

namespace sluice {
namespace {

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
        ->check(seed_problem)
        ->capture_default_str()
        ->group(group);
    app.add_option("--n", s.n, "Completions of each request; number k, from 0, has the seed SEED + k")
        ->capture_default_str()
        ->group(group);
    app.add_option("--stop", s.stop, "Text at which a completion ends; repeatable")
        ->take_all()
        ->allow_extra_args(false)
        ->group(group);
    app.add_flag("--ignore-eos", s.ignore_eos, "Generate past the end-of-sequence token")->group(group);
    choice(
        app, "--output-format", o.output_format,
        {{"jsonl", OutputFormat::Jsonl}, {"openai", OutputFormat::OpenAi}, {"txt", OutputFormat::Txt}},
        "jsonl, openai (a response of its Batch API a line) or txt (a completion a line, in the order of the "
        "input) [openai for openai's lines, jsonl for others]")
        ->group(group);
    app.add_flag("--return-tokens", o.return_tokens, "Add the completion's token ids to each line")
        ->group(group);
    app.add_option(
           "--logprobs", s.logprobs,
           "Add each completion token's log-probability and the K most likely tokens in its place; 0: off")
        ->capture_default_str()
        ->group(group);
    add_chat(app, o, group);
}

// A conversation has no files, and what only their lines could hold.
void add_interactive(CLI::App& app, GenerateOptions& o) {
    auto* interactive = app.add_flag(
        "--interactive", o.interactive,
        "Chat on standard input and output, without --prompts and --output; /help lists the commands. With "
        "--raw every line is continued as plain text. Ctrl-C stops an answer, but under mpirun ends the job: "
        "there /stop stops an answer");
    interactive->group("Chat");
    for (const char* name :
         {"--prompts", "--output", "--prompt-format", "--field", "--partition", "--output-format",
          "--ordered", "--sync-every", "--resume", "--overwrite", "--n", "--return-tokens", "--logprobs",
          "--time-limit", "--stop-margin", "--stop-file", "--max-errors", "--metrics"})
        interactive->excludes(app.get_option(name));
}

void add_selftest(CLI::App& app, GenerateOptions& o) {
    app.add_flag("--selftest", o.selftest,
                 "Generate nothing: check ranks, memory, files and the sums between ranks, and measure them. "
                 "--prompts and --output may be left out")
        ->group("Program")
        ->excludes(app.get_option("--interactive"));
}

void require_files_for_generating(CLI::App& app, const GenerateOptions& o) {
    for (const char* name : {"--prompts", "--output"}) app.get_option(name)->required(false);
    app.parse_complete_callback([&app, &o] {
        for (const char* name : {"--prompts", "--output"})
            if (!o.interactive && !o.selftest && app.count(name) == 0) throw CLI::RequiredError(name);
    });
}

}  // namespace

void add_generate_options(CLI::App& app, GenerateOptions& options) {
    add_files(
        app, options,
        {"--prompts",
         "Prompt files, folders of them or patterns, also packed with gzip or zstd; '-' is standard input",
         "Completion file, a line as each request finishes; '-' is standard output"});
    add_sampling(app, options);
    add_stopping(app, options);
    add_metrics(app, options);
    add_interactive(app, options);
    add_selftest(app, options);
    require_files_for_generating(app, options);
    add_machine(app, options);
    add_batching(app, options);
    add_reports(app, options);
}

void check_generate_options(const GenerateOptions& o) {
    if (const auto problem = check(o.sampling)) fail(ExitCode::Usage, "{}", problem->message);
    check_job_options(o);
}

}  // namespace sluice
