// Errors that a user can act on, each with the exit code its job ends with.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace sluice {

enum class ExitCode : int {
    Complete = 0,
    Internal = 1,
    Usage = 2,
    Checkpoint = 3,  // model or checkpoint refused
    File = 4,        // an input or output file
    SomeErrors = 5,  // complete, but some lines are error records
    Stopped = 75,    // drained on a signal: run again with --resume
};

// The message names the file, tensor, rank, what was expected, what was found, and what to do.
class Error : public std::runtime_error {
public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void require(bool holds, ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
    if (!holds) fail(code, format, std::forward<Args>(args)...);
}

// A broken promise between two parts of the program: never the user's doing.
template <class... Args>
void expect(bool holds, fmt::format_string<Args...> format, Args&&... args) {
    if (!holds) fail(ExitCode::Internal, format, std::forward<Args>(args)...);
}

}  // namespace sluice
