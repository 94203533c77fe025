// What the command line of sluice-generate says.
#pragma once

#include "jobs/job_options.hpp"
#include "text/request.hpp"

namespace sluice {

struct GenerateOptions : JobOptions {
    Sampling sampling;
    OutputFormat output_format = OutputFormat::AsAsked;
    bool return_tokens = false;
    bool interactive = false;
    bool selftest = false;
};

// Declares the options on `app`; parsing then fills `options`, which must outlive `app`.
void add_generate_options(CLI::App& app, GenerateOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_generate_options(const GenerateOptions& options);

}  // namespace sluice
