// What the command line of sluice-generate says.
#pragma once

#include "engine/progress.hpp"
#include "kernels/weight.hpp"
#include "text/completion_file.hpp"
#include "text/prompt_file.hpp"
#include "text/request.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sluice {

struct GenerateOptions {
    std::filesystem::path model;
    std::vector<std::filesystem::path> prompts;
    std::filesystem::path output;
    PromptFormat prompt_format = PromptFormat::Auto;
    bool resume = false, overwrite = false, dry_run = false;

    Sampling sampling;
    bool return_tokens = false;
    bool chat = false, raw = false;
    std::string system;

    int tp = 0;       // 0: all ranks
    int threads = 0;  // 0: this rank's share of the processors
    std::string device = "auto";
    kernels::Products gemm = kernels::Products::Bf16;
    DType kv_dtype = DType::BF16;
    std::string kv_memory;
    int max_batch = 64, max_batch_tokens = 512, prefill_chunk = 512;
    int max_seq_len = 0;  // 0: the model's
    bool prefix_sharing = true;

    Progress::Mode progress = Progress::Mode::Auto;

    OutputMode output_mode() const;
};

// Declares the options on `app`; parsing then fills `options`, which must outlive `app`.
void add_generate_options(CLI::App& app, GenerateOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_generate_options(const GenerateOptions& options);

}  // namespace sluice
