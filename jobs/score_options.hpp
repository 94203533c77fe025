// What the command line of sluice-score says.
#pragma once

#include "jobs/job_options.hpp"
#include "text/request.hpp"

namespace sluice {

struct ScoreOptions : JobOptions {
    Sampling sampling;  // only what is reported of each token; the rest is of generating
};

// Declares the options on `app`; parsing then fills `options`, which must outlive `app`.
void add_score_options(CLI::App& app, ScoreOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_score_options(const ScoreOptions& options);

}  // namespace sluice
