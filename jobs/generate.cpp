// sluice-generate: see --help.
#include "comm/command_line.hpp"
#include "comm/communicator.hpp"
#include "jobs/chat_job.hpp"
#include "jobs/generate_job.hpp"
#include "jobs/generate_options.hpp"
#include "jobs/selftest.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Generates completions for a file of prompts, or chats, on the ranks of an MPI job or in one "
        "process.",
        "sluice-generate");
    GenerateOptions options;
    add_generate_options(app, options);
    return run_ranks(argc, argv, app, options.comm, [&](Communicator& world) {
        if (options.selftest) return selftest(world, options);
        return options.interactive ? chat(world, options) : generate(world, options);
    });
}
