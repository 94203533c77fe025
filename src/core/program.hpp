// The main() of programs that are one process.
#pragma once

#include "core/error.hpp"

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace sluice {

std::string program_version();  // "0.1.0"

// Adds --log-level, --config and --version, parses, and runs `work`. Results of --help go to standard output;
// an error is one line on standard error, "NAME: message". Returns the exit code for main().
int run_program(int argc, char** argv, CLI::App& app, const std::function<ExitCode()>& work);

}  // namespace sluice
