// sluice-score: see --help.
#include "comm/command_line.hpp"
#include "comm/communicator.hpp"
#include "jobs/score_job.hpp"
#include "jobs/score_options.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Scores given texts: the log-probability of every token and the perplexity, on the ranks of an MPI "
        "job "
        "or in one process.",
        "sluice-score");
    ScoreOptions options;
    add_score_options(app, options);
    return run_ranks(argc, argv, app, options.comm,
                     [&](Communicator& world) { return score(world, options); });
}
