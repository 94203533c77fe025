// sluice-synth: see --help.
#include "checkpoint/byte_tokenizer.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/in_parallel.hpp"
#include "checkpoint/synthetic.hpp"
#include "checkpoint_tools/progress.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/program.hpp"
#include "core/units.hpp"
#include "model/config_edit.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <optional>
#include <string>

namespace sluice {
namespace {

struct Options {
    std::string config, output, tokenizer;
    std::optional<DType> dtype;
    int layers = 0;  // 0: all
    std::uint64_t seed = 0;
    std::string file_size = "4GiB";
    int threads = 0;  // 0: all cores
    bool sparse = false;
};

std::string wanted_config(const Options& options) {
    std::string text = read_file(options.config, ExitCode::File);
    const std::size_t layers = parse_config(text, options.config).layers.size();
    require(static_cast<std::size_t>(options.layers) <= layers, ExitCode::Usage,
            "--layers {}: {} has only {}", options.layers, options.config, layers);
    if (options.layers > 0) text = with_layers(text, options.layers);
    if (options.dtype) text = with_matrices(text, *options.dtype);
    parse_config(text, options.config + ", changed as the options say");
    return text;
}

// A maker's own name for it is one that finds it again.
std::string config_name(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with("config_") && name.ends_with(".json") ? name : "config.json";
}

std::map<std::string, std::string> tokenizer_files(const Options& options, const std::string& config_json) {
    if (options.tokenizer.empty()) {
        auto files = byte_tokenizer(config_json, parse_config(config_json, options.config));
        if (files.empty())
            log_warning(
                "no tokenizer is written: the vocabulary has no room for 256 bytes; prompts must be "
                "token ids");
        return files;
    }
    auto files = read_text_files(options.tokenizer);
    require(has_tokenizer(files), ExitCode::File,
            "--tokenizer {}: neither tokenizer.json nor tokenizer.model is there", options.tokenizer);
    return files;
}

void synthesize(const Options& options) {
    SyntheticOptions synthetic;
    synthetic.config_json = wanted_config(options);
    synthetic.config_name = config_name(options.config);
    synthetic.text_files = tokenizer_files(options, synthetic.config_json);
    synthetic.seed = options.seed;
    synthetic.file_bytes = parse_bytes(options.file_size, "--max-file-size");
    require(synthetic.file_bytes > 0, ExitCode::Usage,
            "--max-file-size 0: files cannot be that small; write e.g. 4GiB");
    synthetic.threads = usable_threads(options.threads);

    synthetic.holes = options.sparse;

    ProgressLine line("writing " + options.output);
    const SyntheticResult result = write_synthetic_checkpoint(
        options.output, synthetic,
        [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
    line.clear();
    const double seconds = line.seconds();
    log_info("wrote {}: {} tensors in {} {}, {} in {:.1f} s ({:.2f} GB/s)", options.output, result.tensors,
             result.files, result.files == 1 ? "file" : "files", bytes_text(result.bytes), seconds,
             static_cast<double>(result.bytes) / 1e9 / seconds);
}

void add_options(CLI::App& app, Options& options) {
    app.add_option(
           "--config", options.config,
           "The model's configuration: config.json of any supported family, or the file of its makers")
        ->required()
        ->type_name("FILE")
        ->group("Files");
    app.add_option("--output", options.output, "Folder to make; must not exist")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option("--tokenizer", options.tokenizer,
                   "Folder whose tokenizer files are copied (default: a tokenizer of single bytes is made)")
        ->type_name("DIR")
        ->group("Files");
    app.add_option("--max-file-size", options.file_size,
                   "Most bytes of tensors in a file, unless a single tensor has more")
        ->type_name("SIZE")
        ->capture_default_str()
        ->group("Files");
    app.add_option(
           "--dtype", options.dtype,
           "Matrices in bfloat16, or in fp8 with a scale for each block of 128 x 128 (default: as the "
           "configuration says)")
        ->transform(CLI::CheckedTransformer(
                        std::map<std::string, DType>{{"bf16", DType::BF16}, {"fp8", DType::F8E4M3}})
                        .description(""))
        ->type_name("bf16|fp8")
        ->group("Model");
    app.add_option("--layers", options.layers, "Layers instead of the configuration's: its first ones")
        ->check(CLI::Range(1, 10000).description(""))
        ->type_name("N")
        ->group("Model");
    app.add_option("--seed", options.seed, "Of the random weights, which depend on nothing else")
        ->check(seed_problem)
        ->type_name("S")
        ->capture_default_str()
        ->group("Model");
    app.add_flag(
           "--sparse", options.sparse,
           "No values, only room for them: zeros that take no space on the disk, to try tools with models "
           "of any size (then give --sparse to sluice-shard, too)")
        ->group("Model");
    app.add_option("--threads", options.threads,
                   "Threads that make and write values; 0: one for each processor it may use")
        ->check(CLI::Range(0, 1024).description(""))
        ->type_name("N")
        ->capture_default_str()
        ->group("Program");
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Makes a checkpoint in Hugging Face's layout with random weights, for tests and benchmarks, from a "
        "configuration alone. sluice-shard takes it; with the tokenizer of single bytes that it gets unless "
        "another is given, so do all programs then.",
        "sluice-synth");
    Options options;
    add_options(app, options);
    return run_program(argc, argv, app, [&] {
        synthesize(options);
        return ExitCode::Complete;
    });
}
