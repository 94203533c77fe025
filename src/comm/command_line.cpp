#include "comm/command_line.hpp"

#include "comm/collectives.hpp"
#include "comm/heartbeat.hpp"
#include "core/log.hpp"
#include "core/program.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

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

// The lines of --config may differ between machines. Ranks that go on must not wait for ranks that do not,
// nor for ranks that have no heartbeat.
void require_one_start(Communicator& world, const std::optional<ParseEnd>& end, int heartbeat_limit) {
    const std::string said = end ? end->out + end->err : "";
    const auto ends = gather_values(world, end ? 1 : 0);
    const auto limits = gather_values(world, heartbeat_limit);
    const std::vector<std::string> words = gather_strings(world, said.substr(0, said.find('\n')));
    if (std::ranges::find(ends, 0) == ends.end()) return;
    std::string text;
    for (std::size_t rank = 0; rank < ends.size(); ++rank) {
        if (ends[rank] != 0)
            text += fmt::format("; rank {} ends with \"{}\"", rank, words[rank]);
        else if (limits[rank] != limits[0] && ends[0] == 0)
            text +=
                fmt::format("; rank {} has --heartbeat-limit {}, rank 0 {}", rank, limits[rank], limits[0]);
    }
    if (text.empty()) return;
    throw AgreedError(
        ExitCode::Usage,
        "the ranks have different options (is the --config file the same on all machines?)" + text);
}

void add_comm(CLI::App& app, std::string& comm, const std::vector<std::string>& words,
              const std::string& help) {
    app.add_option("--comm", comm, help)
        ->check(CLI::IsMember(words).description(""))
        ->capture_default_str()
        ->group("Ranks and devices");
}

// `comm` has been added.
int join_and_run(int argc, char** argv, CLI::App& app, const std::string& comm,
                 const std::function<ExitCode(Communicator&)>& job) {
    int heartbeat_limit = 300;
    app.add_option("--heartbeat-limit", heartbeat_limit,
                   "Seconds after which a rank that is silent or stands still ends the job; 0: never")
        ->check(CLI::Range(0, 1'000'000).description(""))
        ->capture_default_str()
        ->group("Ranks and devices");
    std::string log_level;
    add_common_options(app, log_level);
    const std::optional<ParseEnd> end = parse(app, argc, argv);
    try {
        set_log_level(parse_log_level(log_level));
        const auto world = make_watched(make_world(kind_of(comm), &argc, &argv));
        return run_job(*world, [&] {
            require_one_start(*world, end, heartbeat_limit);
            if (end) {
                if (world->rank() == 0) {
                    std::cout << end->out;
                    std::cerr << end->err;
                }
                return end->code;
            }
            const Heartbeat heartbeat(*world, std::chrono::seconds(heartbeat_limit));
            return job(*world);
        });
    } catch (const std::exception& thrown) {
        const Problem problem = explain(thrown);
        log_line(LogLevel::Error, problem.message);
        return static_cast<int>(problem.code);
    }
}

}  // namespace

int run_ranks(int argc, char** argv, CLI::App& app, const std::function<ExitCode(Communicator&)>& job) {
    std::string comm = "auto";
    add_comm(app, comm, {"auto", "self", "mpi"}, "auto, self (one process, no MPI) or mpi");
    return join_and_run(argc, argv, app, comm, job);
}

int run_ranks(int argc, char** argv, CLI::App& app, std::string& comm,
              const std::function<ExitCode(Communicator&)>& job) {
    add_comm(
        app, comm, {"auto", "self", "mpi", "nccl"},
        "auto, self (one process, no MPI), mpi, or nccl (GPUs add between themselves, as with auto where "
        "every rank has its own; with mpi, by way of the host)");
    return join_and_run(argc, argv, app, comm, job);
}

}  // namespace sluice
