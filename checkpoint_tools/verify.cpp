// sluice-verify: see --help.
#include "checkpoint/verify.hpp"

#include "checkpoint/in_parallel.hpp"
#include "checkpoint_tools/progress.hpp"
#include "core/json.hpp"
#include "core/program.hpp"
#include "core/units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <optional>
#include <set>
#include <string>

namespace sluice {
namespace {

struct Options {
    std::string folder, against;
    int threads = 0;
    bool json = false;
};

struct Outcome {
    Verification verification;
    double seconds = 0;
};

Outcome verify(const Options& options) {
    ProgressLine line("verifying " + options.folder);
    std::optional<std::filesystem::path> against;
    if (!options.against.empty()) against = options.against;
    Outcome outcome;
    outcome.verification =
        verify_checkpoint(options.folder, against, usable_threads(options.threads),
                          [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
    outcome.seconds = line.seconds();
    return outcome;
}

std::size_t subjects_of(const Verification& verification) {
    std::set<std::string_view> subjects;
    for (const Finding& finding : verification.findings) subjects.insert(finding.subject);
    return subjects.size();
}

void print_findings(const Verification& verification, const std::string& folder) {
    constexpr std::size_t kMost = 10;
    std::set<std::string_view> subjects;
    for (const Finding& finding : verification.findings) {
        subjects.insert(finding.subject);
        if (subjects.size() > kMost) break;
        fmt::print("{}: {}\n", finding.subject, finding.text);
    }
    const std::size_t all = subjects_of(verification);
    if (all > kMost) fmt::print("... and {} more, which --json lists\n", all - kMost);
    fmt::print("{}: wrong in {} {}; it has {} tensors\n", folder, all, all == 1 ? "place" : "places",
               verification.tensors);
}

void print_summary(const Outcome& outcome, const Options& options) {
    const Verification& verification = outcome.verification;
    fmt::print("{}: {} tensors are right, {} read in {:.1f} s ({:.2f} GB/s)\n", options.folder,
               verification.tensors, bytes_text(verification.bytes), outcome.seconds,
               static_cast<double>(verification.bytes) / 1e9 / outcome.seconds);
    if (verification.checksums) {
        fmt::print("  checksums  all as written; id {}\n", verification.id);
    } else {
        fmt::print("  checksums  this format has none: only that it is complete and its scales finite\n");
    }
    if (!options.against.empty()) fmt::print("  values     as in {}\n", options.against);
}

Json as_json(const Finding& finding) {
    Json json{{"fault", name_of(finding.fault)}, {"subject", finding.subject}, {"text", finding.text}};
    if (!finding.difference) return json;
    json["count"] = finding.difference->count;
    json["row"] = finding.difference->row;
    json["col"] = finding.difference->col;
    json["expected"] = finding.difference->expected;
    json["found"] = finding.difference->found;
    return json;
}

// A folder's name is any bytes; JSON is UTF-8.
void print_json(const Outcome& outcome, const Options& options) {
    const Verification& verification = outcome.verification;
    Json json{{"folder", options.folder},
              {"right", verification.findings.empty()},
              {"checksums", verification.checksums},
              {"tensors", verification.tensors},
              {"bytes", verification.bytes},
              {"seconds", outcome.seconds},
              {"findings", Json::array()}};
    if (verification.checksums) json["checkpoint_id"] = verification.id;
    if (!options.against.empty()) json["against"] = options.against;
    for (const Finding& finding : verification.findings) json["findings"].push_back(as_json(finding));
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("DIR", options.folder, "Checkpoint folder: a Sluice one, safetensors, or ckpt-0")
        ->required()
        ->type_name("")
        ->group("Input");
    app.add_option(
           "--against", options.against,
           "Also compare the configuration and every value with this checkpoint, the source, of any kind")
        ->type_name("DIR")
        ->group("Input");
    app.add_flag("--json", options.json,
                 "Print JSON instead of lines; all that is wrong instead of the first 10")
        ->group("Output");
    app.add_option("--threads", options.threads,
                   "Threads that read and compare; 0: one for each processor it may use")
        ->check(CLI::Range(0, 1024).description(""))
        ->type_name("N")
        ->capture_default_str()
        ->group("Program");
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Reads a checkpoint and tells whether it is whole. Of a Sluice checkpoint: every checksum, the id, "
        "and that every tensor of the model is there and nothing else. Against its source: that both have "
        "the same configuration but for the quantisation, and the same tensors, and that every value is the "
        "source's, rounded to nearest even in bfloat16, or within half a step of the scales in fp8 and int8. "
        "Ends with 3 when anything is wrong.",
        "sluice-verify");
    Options options;
    add_options(app, options);
    return run_program(argc, argv, app, [&] {
        const Outcome outcome = verify(options);
        const bool right = outcome.verification.findings.empty();
        if (options.json) {
            print_json(outcome, options);
        } else if (right) {
            print_summary(outcome, options);
        } else {
            print_findings(outcome.verification, options.folder);
        }
        return right ? ExitCode::Complete : ExitCode::Checkpoint;
    });
}
