// Files of texts in, a file of log-probabilities out.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "jobs/score_options.hpp"

namespace sluice {

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode score(Communicator& world, const ScoreOptions& options);

}  // namespace sluice
