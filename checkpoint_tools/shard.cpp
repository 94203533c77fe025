// sluice-shard: see --help.
#include "checkpoint_tools/conversion.hpp"
#include "comm/command_line.hpp"
#include "core/program.hpp"

#include <CLI/CLI.hpp>

#include <map>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Turns a checkpoint in Hugging Face's layout (config.json and safetensors), xAI's release of Grok-1 "
        "(ckpt-0), or another Sluice checkpoint into a Sluice checkpoint: HDF5 files cut for tensor-parallel "
        "ranks. May run on several ranks (mpirun) that share a file system.",
        "sluice-shard");
    ConversionRequest request;
    request.options.tool = "sluice-shard " + program_version();
    add_conversion_options(app, request);
    app.add_option(
           "--dtype", request.options.type,
           "Matrices as they are (keep), in bfloat16, or quantised: fp8 with a scale for each block of "
           "128 x 128, int8 with a scale for each output")
        ->transform(CLI::CheckedTransformer(std::map<std::string, StoredType>{{"keep", StoredType::Keep},
                                                                              {"bf16", StoredType::Bf16},
                                                                              {"fp8", StoredType::Fp8},
                                                                              {"int8", StoredType::Int8}})
                        .description(""))
        ->type_name("keep|bf16|fp8|int8")
        ->default_str("keep")
        ->group("Format");
    app.add_option("--report", request.report, "What quantising changed, a JSON line for each tensor")
        ->type_name("FILE.jsonl")
        ->group("Files");
    return run_ranks(argc, argv, app, [&](Communicator& world) { return run_conversion(world, request); });
}
