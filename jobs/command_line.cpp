#include "jobs/command_line.hpp"

#include "comm/collectives.hpp"
#include "core/log.hpp"
#include "core/program.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdlib>
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

WorldKind kind_of(const std::string& comm) {
    if (comm == "self") return WorldKind::Self;
    return comm == "mpi" ? WorldKind::Mpi : WorldKind::Auto;
}

// A waiting OpenMP thread spins for milliseconds by default: where cores are shared, with other ranks or
// other jobs, it spins while the thread it waits for has no core. The library reads its settings before main,
// so the program starts itself again with a short spin, unless somebody chose otherwise.
void shorten_spinning(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
    setenv("GOMP_SPINCOUNT", "1000", 1);
    execv("/proc/self/exe", argv);  // comes back only if it fails: then as before
}

}  // namespace

int run_ranks(int argc, char** argv, CLI::App& app, const std::function<ExitCode(Communicator&)>& job) {
    shorten_spinning(argv);
    std::string comm = "auto";
    app.add_option("--comm", comm, "auto, self (one process, no MPI) or mpi")
        ->check(CLI::IsMember({"auto", "self", "mpi"}))
        ->capture_default_str()
        ->group("Ranks and devices");
    std::string log_level;
    add_common_options(app, log_level);
    const std::optional<ParseEnd> end = parse(app, argc, argv);
    try {
        set_log_level(parse_log_level(log_level));
        const auto world = make_world(kind_of(comm), &argc, &argv);
        return run_job(*world, [&] {
            if (!end) return job(*world);
            if (world->rank() == 0) {
                std::cout << end->out;
                std::cerr << end->err;
            }
            return end->code;
        });
    } catch (const std::exception& thrown) {
        const Problem problem = explain(thrown);
        log_line(LogLevel::Error, problem.message);
        return static_cast<int>(problem.code);
    }
}

}  // namespace sluice
