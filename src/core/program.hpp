// What every program's main() has in common, and all of it for programs that are one process.
#pragma once

#include "core/error.hpp"

#include <exception>
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace sluice {

std::string program_version();  // "0.1.0"

// For CLI11's check() of a seed, which CLI11 itself would wrap around: what is wrong with `text`; empty:
// nothing, it is a whole number from 0 to 2^64 - 1.
std::string seed_problem(const std::string& text);

// Adds --log-level, --config, --version and --help. Parsing sets `log_level`. The file of options is
// --options in programs that have a --config of their own, the model's.
void add_common_options(CLI::App& app, std::string& log_level);

// An exception as a user should hear of it.
struct Problem {
    ExitCode code;
    std::string message;
};
Problem explain(const std::exception& thrown);

// Adds the common options, parses, and runs `work`. Results of --help go to standard output;
// an error is one line on standard error, "NAME: message"; standard output that cannot be written is one.
// Returns the exit code for main().
int run_program(int argc, char** argv, CLI::App& app, const std::function<ExitCode()>& work);

}  // namespace sluice
