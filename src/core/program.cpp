#include "core/program.hpp"

#include "core/log.hpp"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <limits>
#include <new>
#include <system_error>

namespace sluice {
namespace {

int report(const CLI::App& app, ExitCode code, const char* message) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), message);
    return static_cast<int>(code);
}

// What was printed last may stand in a buffer only, and a full disk shows when that is written.
void flush_output() {
    errno = 0;
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
    throw std::system_error(errno != 0 ? errno : EIO, std::generic_category());
}

// fmt throws a bare system error where standard output takes no more; the stream knows that it was there.
Problem explain_with_output(const std::exception& thrown) {
    const auto* error = dynamic_cast<const std::system_error*>(&thrown);
    if (error == nullptr || std::ferror(stdout) == 0) return explain(thrown);
    return {ExitCode::File, fmt::format("cannot write to standard output: {}", error->code().message())};
}

}  // namespace

std::string program_version() { return SLUICE_VERSION; }

std::string seed_problem(const std::string& text) {
    std::uint64_t seed = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (end.ec == std::errc() && end.ptr == text.data() + text.size()) return "";
    return fmt::format("{} is no whole number from 0 to {}", text, std::numeric_limits<std::uint64_t>::max());
}

void add_common_options(CLI::App& app, std::string& log_level) {
    log_level = "info";
    app.add_option("--log-level", log_level, "Messages shown: error, warning, info or debug")
        ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
        ->capture_default_str()
        ->group("Program");
    // A model's configuration goes by the usual name where a program asks for one.
    const char* const file_option = app.get_option_no_throw("--config") == nullptr ? "--config" : "--options";
    app.set_config(file_option, "", "Options from a TOML file, by their long names; the command line wins")
        ->group("Program");
    app.allow_config_extras(CLI::config_extras_mode::error);  // a misspelt key must not pass for the default
    app.set_version_flag("--version", app.get_name() + " " + program_version(), "Print the version and exit")
        ->group("Program");
    app.set_help_flag();  // off and on again: the program's own options come first in the list
    app.set_help_flag("-h,--help", "Print this help and exit")->group("Program");
}

Problem explain(const std::exception& thrown) {
    if (const auto* error = dynamic_cast<const Error*>(&thrown)) return {error->code(), error->what()};
    if (dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr) {
        return {ExitCode::Internal, "out of memory: close other programs, or use a larger machine"};
    }
    const bool files = dynamic_cast<const std::filesystem::filesystem_error*>(&thrown) != nullptr;
    return {files ? ExitCode::File : ExitCode::Internal, thrown.what()};
}

int run_program(int argc, char** argv, CLI::App& app, const std::function<ExitCode()>& work) {
    std::string log_level;
    add_common_options(app, log_level);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
        if (end.get_exit_code() == 0) return app.exit(end);  // prints the help or the version
        return report(app, ExitCode::Usage, fmt::format("{} (--help lists the options)", end.what()).c_str());
    }
    try {
        set_log_level(parse_log_level(log_level));
        const ExitCode code = work();
        flush_output();
        return static_cast<int>(code);
    } catch (const std::exception& thrown) {
        const Problem problem = explain_with_output(thrown);
        return report(app, problem.code, problem.message.c_str());
    }
}

}  // namespace sluice
