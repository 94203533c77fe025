#include "jobs/bench_options.hpp"

#include "core/error.hpp"
#include "core/program.hpp"
#include "core/units.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>

namespace sluice {
namespace {

constexpr int kMost = 1 << 20;

CLI::Option* numbers(CLI::App& app, const std::string& name, std::vector<int>& values,
                     const std::string& help) {
    return app.add_option(name, values, help)
        ->delimiter(',')
        ->check(CLI::Range(1, kMost).description(""))
        ->type_name("N,...")
        ->capture_default_str();
}

void add_measurements(CLI::App& app, BenchOptions& o) {
    const std::string group = "Measurements";
    const std::map<std::string, BenchPart> parts{{"load", BenchPart::Load},
                                                 {"prefill", BenchPart::Prefill},
                                                 {"decode", BenchPart::Decode},
                                                 {"job", BenchPart::Job}};
    const auto add_parts = [&o, parts](const std::vector<std::string>& words) {
        for (const std::string& word : words) o.only.push_back(parts.at(word));
    };
    app.add_option_function<std::vector<std::string>>("--only", add_parts,
                                                      "Some of load, prefill, decode and job [all]")
        ->delimiter(',')
        ->check(CLI::IsMember(parts).description(""))
        ->type_name("PART,...")
        ->group(group);
    app.add_option("--repeats", o.repeats, "Of each; the median counts")
        ->check(CLI::Range(1, 1000).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-seconds", o.most_seconds,
                   "What has taken so long, in seconds, is not repeated again: fewer repeats of what is slow")
        ->check(CLI::NonNegativeNumber.description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option(
           "--stream-memory", o.stream_memory,
           "Read by each rank to find the bandwidth: well beyond every cache; on processors it is kept "
           "until the end [768MiB, of a GPU 4GiB]")
        ->group(group);
    app.add_option("--seed", o.seed, "Of tokens and lengths")->capture_default_str()->group(group);
    app.add_option("--json", o.json,
                   "File of everything that was measured; '-': standard output, instead of the table")
        ->type_name("FILE")
        ->group(group);
}

void add_steps(CLI::App& app, BenchOptions& o) {
    const std::string group = "Prefill and decoding (random tokens)";
    numbers(app, "--prefill", o.prefill,
            "Prompts of so many tokens: short ones fill a step together, long ones take several")
        ->group(group);
    numbers(app, "--batch", o.batches, "Decode so many sequences at once")->group(group);
    numbers(app, "--context", o.contexts,
            "of so many tokens each, whose cache is not computed but filled with noise")
        ->group(group);
    app.add_option("--steps", o.steps, "Decoding steps of a repeat, each of fresh tokens")
        ->check(CLI::Range(1, kMost).description(""))
        ->capture_default_str()
        ->group(group);
}

void add_job(CLI::App& app, BenchOptions& o) {
    const std::string group = "Offline job (greedy, in memory, as sluice-generate schedules it)";
    app.add_option("--job-requests", o.job_requests,
                   "Requests: prompts of 16 to 512 and completions of 16 to 128 random tokens, as many of "
                   "each power of two")
        ->check(CLI::Range(1, kMost).description(""))
        ->capture_default_str()
        ->group(group);
    app.add_option("--job", o.job,
                   "File of the requests instead: lines {\"tokens\": [...], \"max_new_tokens\": N}; equal "
                   "lines are computed once")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--job-prefix", o.job_prefix,
                   "Two more jobs, whose prompts all begin with N common tokens: with prefix sharing and "
                   "without; 0: none")
        ->check(CLI::Range(0, kMost).description(""))
        ->capture_default_str()
        ->group(group);
}

constexpr const char* kFooter =
    "The floor of a step is max(bytes / bandwidth, operations / peak) of rank 0, with what this machine is "
    "measured to read and to multiply with all ranks and threads at it; nothing for communication. "
    "Processors "
    "are measured before and after each repeat, for other work on a shared machine slows both (a repeat so "
    "begins with cold caches); a GPU once, and by mma.sync, which products by wgmma, on Hopper, may exceed.\n"
    "  bytes       weights as packed, without the embedding, without the output matrix where no logits are "
    "wanted, and without experts that no token chose (b tokens choose E (1 - (1 - k/E)^b) of E experts, k a "
    "token); and each sequence's cache once\n"
    "  operations  2 for each weight that a token multiplies with, and attention's for each key it sees\n"
    "% of the roofline is the floor over the time of a repeat, of which the median counts. A model "
    "that caches hold in part may exceed 100.\n"
    "Ranks are compared by running it again: mpirun -n 1, 2, 4, ... sluice-bench.";

}  // namespace

bool BenchOptions::measures(BenchPart part) const {
    return only.empty() || std::ranges::find(only, part) != only.end();
}

std::uint64_t BenchOptions::stream_bytes() const {
    return stream_memory.empty() ? 0 : parse_bytes(stream_memory, "--stream-memory");
}

bool BenchOptions::runs_steps() const {
    return measures(BenchPart::Prefill) || measures(BenchPart::Decode) || measures(BenchPart::Job);
}

void add_bench_options(CLI::App& app, BenchOptions& options) {
    add_model(app, options, "Model");
    add_measurements(app, options);
    add_steps(app, options);
    add_job(app, options);
    add_ranks(app, options);
    app.add_option("--threads", options.thread_counts,
                   "Threads of each rank, everything for each; 0: its share of the processors it may use")
        ->delimiter(',')
        ->check(CLI::Range(0, 1024).description(""))
        ->type_name("N,...")
        ->capture_default_str()
        ->group("Ranks and devices");
    add_batching(app, options);
    app.footer(kFooter);
}

void check_bench_options(const BenchOptions& options) {
    check_job_options(options);
    require(options.stream_memory.empty() || options.stream_bytes() > 0, ExitCode::Usage,
            "--stream-memory {}: there is nothing to read", options.stream_memory);
}

}  // namespace sluice
