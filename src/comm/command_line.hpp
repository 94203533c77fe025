// The main() of programs that run on ranks.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace sluice {

// Adds --comm, --heartbeat-limit and the common options, parses, joins the ranks and runs `job` under a
// heartbeat. Help and usage errors are printed once, by rank 0. Returns the exit code for main().
int run_ranks(int argc, char** argv, CLI::App& app, const std::function<ExitCode(Communicator&)>& job);

// For ranks that may compute on GPUs: the word of --comm goes to `comm`, and may be nccl, too.
int run_ranks(int argc, char** argv, CLI::App& app, std::string& comm,
              const std::function<ExitCode(Communicator&)>& job);

}  // namespace sluice
