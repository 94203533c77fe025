// sluice-merge: see --help.
#include "core/log.hpp"
#include "core/program.hpp"
#include "text/merge_parts.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app("Joins the outputs of runs with --partition 1/N to N/N into the output of one run.",
                 "sluice-merge");
    MergeOptions options;
    app.add_option("--output", options.output,
                   "The joined output, of all parts or none; its record beside it")
        ->required()
        ->type_name("FILE");
    app.add_flag("--overwrite", options.overwrite, "Replace an existing output");
    app.add_option("PART", options.parts,
                   "Output of each part's run, all finished, in any order. Those of ordered runs are "
                   "interleaved to the order of the input; others follow each other")
        ->required()
        ->type_name("FILE");
    return run_program(argc, argv, app, [&] {
        const std::int64_t lines = merge_parts(options);
        log_info("{}: {} lines of {} parts", options.output.string(), lines, options.parts.size());
        return ExitCode::Complete;
    });
}
