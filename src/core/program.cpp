#include "core/program.hpp"

#include "core/log.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>

namespace sluice {
namespace {

int report(const CLI::App& app, ExitCode code, const char* message) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), message);
    return static_cast<int>(code);
}

int run_reporting(const CLI::App& app, const std::function<ExitCode()>& work) {
    try {
        return static_cast<int>(work());
    } catch (const Error& problem) {
        return report(app, problem.code(), problem.what());
    } catch (const std::bad_alloc&) {
        return report(app, ExitCode::Internal,
                      "out of memory: close other programs, or use a larger machine");
    } catch (const std::filesystem::filesystem_error& problem) {
        return report(app, ExitCode::File, problem.what());
    } catch (const std::exception& problem) {
        return report(app, ExitCode::Internal, problem.what());
    }
}

}  // namespace

std::string program_version() { return SLUICE_VERSION; }

int run_program(int argc, char** argv, CLI::App& app, const std::function<ExitCode()>& work) {
    std::string log_level = "info";
    app.add_option("--log-level", log_level, "Messages shown: error, warning, info or debug")
        ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
        ->capture_default_str()
        ->group("Program");
    app.set_config("--config", "", "Options from a TOML file, by their long names; the command line wins")
        ->group("Program");
    app.allow_config_extras(CLI::config_extras_mode::error);  // a misspelt key must not pass for the default
    app.set_version_flag("--version", app.get_name() + " " + program_version(), "Print the version and exit")
        ->group("Program");
    app.set_help_flag();  // off and on again: the program's own options come first in the list
    app.set_help_flag("-h,--help", "Print this help and exit")->group("Program");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
        if (end.get_exit_code() == 0) return app.exit(end);  // prints the help or the version
        return report(app, ExitCode::Usage, fmt::format("{} (--help lists the options)", end.what()).c_str());
    }
    return run_reporting(app, [&] {
        set_log(parse_log_level(log_level), "");
        return work();
    });
}

}  // namespace sluice
