// How fast a checkpoint is loaded, prefilled, decoded, and run as a job, and how fast it could be.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "jobs/bench_options.hpp"

namespace sluice {

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode bench(Communicator& world, const BenchOptions& options);

}  // namespace sluice
