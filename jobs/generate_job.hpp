// The main job: prompt files in, a completion file out.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "jobs/generate_options.hpp"

namespace sluice {

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode generate(Communicator& world, const GenerateOptions& options);

}  // namespace sluice
