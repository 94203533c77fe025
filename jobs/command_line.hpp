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

// What every such program's options hold.
struct RankOptions {
    std::string comm = "auto";  // auto, self (one process, no MPI) or mpi
    std::string log_level = "info";
};

// Adds --comm, --log-level, --config and --version, parses, joins the ranks and runs `job`. Help and usage
// errors are printed once, by rank 0. Returns the exit code for main().
int run_ranks(int argc, char** argv, CLI::App& app, const std::function<ExitCode(Communicator&)>& job);

}  // namespace sluice
