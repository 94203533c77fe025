// What sluice-bench says: a table for people, JSON for programs.
#pragma once

#include "jobs/bench_figures.hpp"
#include "jobs/bench_options.hpp"
#include "jobs/model_job.hpp"

namespace sluice {

// The model and the machine, but for its name.
void describe(BenchReport& report, const Setup& setup, const BenchOptions& options);

// The table of the last run, on standard output.
void print_run(const BenchReport& report);

// Refuses an options.json that cannot be written, before anything is measured: ExitCode::File.
void check_json(const BenchOptions& options);

// Everything, to options.json. ExitCode::File where it cannot be written.
void write_json(const BenchReport& report, const BenchOptions& options);

}  // namespace sluice
