#include "jobs/score_options.hpp"

#include "core/error.hpp"
#include "text/sampling_json.hpp"

#include <CLI/CLI.hpp>

namespace sluice {

void add_score_options(CLI::App& app, ScoreOptions& options) {
    const std::string group = "Texts";
    add_files(app, options,
              {"--input",
               "Files of texts, txt or jsonl, folders of them or patterns, also packed with gzip or zstd; "
               "'-' is standard input",
               "File of scores (jsonl), written as texts finish"});
    app.add_option("--logprobs", options.sampling.logprobs,
                   "Add the K most likely tokens in each token's place; 0: off; a jsonl line may set its own")
        ->capture_default_str()
        ->group(group);
    add_chat(app, options, group);
    add_stopping(app, options);
    add_machine(app, options);
    add_batching(app, options);
    add_reports(app, options);
    add_metrics(app, options);
}

void check_score_options(const ScoreOptions& options) {
    if (const auto problem = check(options.sampling)) fail(ExitCode::Usage, "{}", problem->message);
    check_job_options(options);
}

}  // namespace sluice
