// sluice-cast: see --help.
#include "checkpoint_tools/conversion.hpp"
#include "comm/command_line.hpp"
#include "core/program.hpp"
#include "core/units.hpp"

#include <CLI/CLI.hpp>

#include <map>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Dequantises a checkpoint of any kind (Hugging Face's layout, xAI's release of Grok-1, Sluice's own) "
        "to bfloat16: value times scale in float32, rounded to nearest even. May run on several "
        "ranks (mpirun) that share a file system.",
        "sluice-cast");
    ConversionRequest request;
    std::string file_size = "4GiB";
    request.options.type = StoredType::Bf16;
    request.options.tool = "sluice-cast " + program_version();
    add_conversion_options(app, request);
    app.add_option("--to", request.options.format,
                   "Format to write: hdf5, a Sluice checkpoint; or safetensors in Hugging Face's layout, for "
                   "other programs, with the files beside it")
        ->transform(CLI::CheckedTransformer(
                        std::map<std::string, TargetFormat>{{"hdf5", TargetFormat::Hdf5},
                                                            {"safetensors", TargetFormat::Safetensors}})
                        .description(""))
        ->type_name("hdf5|safetensors")
        ->default_str("hdf5")
        ->group("Format");
    app.add_option("--max-file-size", file_size,
                   "With safetensors: most bytes of tensors in a file, unless a single tensor has more")
        ->type_name("SIZE")
        ->capture_default_str()
        ->group("Format");
    return run_ranks(argc, argv, app, [&](Communicator& world) {
        request.options.file_bytes = parse_bytes(file_size, "--max-file-size");
        const bool hdf5 = request.options.format == TargetFormat::Hdf5;
        require(!hdf5 || app.count("--max-file-size") == 0, ExitCode::Usage,
                "--max-file-size is for --to safetensors: a Sluice checkpoint has a file for each slice");
        require(hdf5 || app.count("--slices") == 0, ExitCode::Usage,
                "--slices is for --to hdf5: safetensors are not cut");
        require(request.options.file_bytes > 0, ExitCode::Usage,
                "--max-file-size 0: files cannot be that small; write e.g. 4GiB");
        return run_conversion(world, request);
    });
}
