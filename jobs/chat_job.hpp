// The interactive job: a conversation on rank 0's standard input and output.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "jobs/generate_options.hpp"

namespace sluice {

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode chat(Communicator& world, const GenerateOptions& options);

}  // namespace sluice
