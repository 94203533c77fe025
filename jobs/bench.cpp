// sluice-bench: see --help.
#include "comm/command_line.hpp"
#include "comm/communicator.hpp"
#include "jobs/bench_job.hpp"
#include "jobs/bench_options.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Times loading, prefill, decoding and an offline job on a checkpoint, and tells how near each comes "
        "to what this machine can do.",
        "sluice-bench");
    BenchOptions options;
    add_bench_options(app, options);
    return run_ranks(argc, argv, app, options.comm,
                     [&](Communicator& world) { return bench(world, options); });
}
