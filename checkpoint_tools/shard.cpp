// sluice-shard: see --help.
#include "checkpoint_tools/conversion.hpp"
#include "core/program.hpp"

#include <CLI/CLI.hpp>

#include <map>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Turns a checkpoint in Hugging Face's layout (config.json and safetensors), or xAI's release of "
        "Grok-1 (ckpt-0), into a Sluice checkpoint: HDF5 files cut for tensor-parallel ranks.",
        "sluice-shard");
    std::string input;
    std::string output;
    ConvertOptions options;
    options.tool = "sluice-shard " + program_version();
    app.add_option("--input", input, "Folder with config.json and *.safetensors, or with ckpt-0")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option("--output", output, "Folder to make; must not exist")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option(
           "--slices", options.slices,
           "Parts to cut the tensors in: any number of ranks that divides it can load them (default: the "
           "largest power of two up to 8 that the model's heads and experts allow)")
        ->check(CLI::Range(1, 999).description(""))
        ->type_name("G")
        ->group("Format");
    app.add_option("--dtype", options.type,
                   "Matrices as they are (keep), or quantised ones dequantised to bfloat16 (bf16)")
        ->transform(CLI::CheckedTransformer(std::map<std::string, StoredType>{{"keep", StoredType::Keep},
                                                                              {"bf16", StoredType::Bf16}})
                        .description(""))
        ->type_name("keep|bf16")
        ->default_str("keep")
        ->group("Format");
    return run_program(argc, argv, app, [&] {
        run_conversion(input, output, options);
        return ExitCode::Complete;
    });
}
