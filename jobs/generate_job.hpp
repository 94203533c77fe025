// The main job: prompt files in, a completion file out.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "engine/generator.hpp"
#include "jobs/generate_options.hpp"
#include "text/tokenizer.hpp"

namespace sluice {

// For requests that share those options; `longest`: positions of a sequence.
GeneratorOptions generator_options(const GenerateOptions& options, const Tokenizer& tokenizer, int longest);

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode generate(Communicator& world, const GenerateOptions& options);

}  // namespace sluice
