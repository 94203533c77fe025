// sluice-cast: see --help.
#include "checkpoint_tools/conversion.hpp"
#include "core/program.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Dequantises a checkpoint in Hugging Face's layout, or xAI's release of Grok-1 (ckpt-0), to "
        "bfloat16, "
        "as a Sluice checkpoint; exactly: value times scale in float32, rounded to nearest even.",
        "sluice-cast");
    std::string input;
    std::string output;
    std::string format = "hdf5";
    ConvertOptions options;
    options.type = StoredType::Bf16;
    options.tool = "sluice-cast " + program_version();
    app.add_option("--input", input, "Folder with config.json and *.safetensors, or with ckpt-0")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option("--output", output, "Folder to make; must not exist")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option("--to", format, "Format to write: hdf5, a Sluice checkpoint")
        ->check(CLI::IsMember({"hdf5"}).description(""))
        ->type_name("hdf5")
        ->capture_default_str()
        ->group("Format");
    app.add_option(
           "--slices", options.slices,
           "Parts to cut the tensors in (default: the largest power of two up to 8 that the model allows)")
        ->check(CLI::Range(1, 999).description(""))
        ->type_name("G")
        ->group("Format");
    return run_program(argc, argv, app, [&] {
        run_conversion(input, output, options);
        return ExitCode::Complete;
    });
}
