#include "jobs/command_line.hpp"

#include "comm/collectives.hpp"
#include "core/log.hpp"

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>

namespace sluice {
namespace {

// What parsing had to say instead of going on.
struct ParseEnd {
    ExitCode code = ExitCode::Complete;
    std::string out, err;
};

std::optional<ParseEnd> parse(CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::ParseError& end) {
        std::ostringstream out;
        std::ostringstream err;
        const int code = app.exit(end, out, err);
        return ParseEnd{code == 0 ? ExitCode::Complete : ExitCode::Usage, out.str(), err.str()};
    }
}

std::unique_ptr<Communicator> join(const std::string& comm, int& argc, char**& argv) {
    if (comm == "self") return make_self();
    return comm == "mpi" ? make_mpi(&argc, &argv) : make_world(&argc, &argv);
}

}  // namespace

int run_ranks(int argc, char** argv, CLI::App& app, const std::function<ExitCode(Communicator&)>& job) {
    RankOptions options;
    app.add_option("--comm", options.comm, "auto, self (one process, no MPI) or mpi")
        ->check(CLI::IsMember({"auto", "self", "mpi"}))
        ->capture_default_str()
        ->group("Ranks and devices");
    app.add_option("--log-level", options.log_level, "error, warning, info or debug")
        ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
        ->capture_default_str()
        ->group("Reports");
    app.set_config("--config", "", "Options from a TOML file, by their long names; the command line wins");
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.set_version_flag("--version", SLUICE_VERSION);
    const std::optional<ParseEnd> end = parse(app, argc, argv);
    try {
        set_log(parse_log_level(options.log_level), "");
        const auto world = join(options.comm, argc, argv);
        return run_job(*world, [&] {
            if (!end) return job(*world);
            if (world->rank() == 0) {
                std::cout << end->out;
                std::cerr << end->err;
            }
            return end->code;
        });
    } catch (const Error& problem) {
        log_line(LogLevel::Error, problem.what());
        return static_cast<int>(problem.code());
    } catch (const std::exception& problem) {
        log_line(LogLevel::Error, problem.what());
        return static_cast<int>(ExitCode::Internal);
    }
}

}  // namespace sluice
