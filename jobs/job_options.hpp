// The part of the command line that jobs on a model share: files, machine, memory.
#pragma once

#include "engine/progress.hpp"
#include "jobs/stop_conditions.hpp"
#include "kernels/weight.hpp"
#include "text/completion_file.hpp"
#include "text/prompt_file.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sluice {

// As --chat-format: the chat template of the checkpoint.
inline constexpr const char* kOwnTemplate = "template";

struct JobOptions {
    std::filesystem::path model;
    std::filesystem::path stage_dir;  // where each machine copies its part of the model to; empty: nowhere
    std::vector<std::filesystem::path> prompts;
    std::filesystem::path output;
    PromptFormat prompt_format = PromptFormat::Auto;
    std::string field;  // of a jsonl line, that holds the prompt; empty: as the line says
    Partition partition;
    bool ordered = false;
    double sync_seconds = 30;  // most work that a power loss costs
    bool resume = false, overwrite = false, dry_run = false;

    StopOptions stop;

    bool chat = false, raw = false;
    std::string chat_format = kOwnTemplate;
    std::string system;

    int tp = 0;       // 0: all ranks
    int threads = 0;  // 0: this rank's share of the processors
    std::string device = "auto";
    std::string comm = "auto";  // what run_ranks (comm/command_line.hpp) has read
    kernels::Products gemm = kernels::Products::Bf16;
    DType kv_dtype = DType::BF16;
    std::string kv_memory;
    int max_batch = 0, max_batch_tokens = 0;  // 0: chosen from what steps cost
    int prefill_chunk = 0;                    // 0: as long as steps are
    int max_seq_len = 0;                      // 0: the model's
    bool prefix_sharing = true;

    Progress::Mode progress = Progress::Mode::Auto;
    std::filesystem::path metrics;

    OutputMode output_mode() const;
};

// How a job calls its files, in --help.
struct FileWords {
    std::string input;  // an option
    std::string input_help, output_help;
};

// Each declares a group of options on `app`; parsing then fills `options`, which must outlive `app`.
void add_model(CLI::App& app, JobOptions& options, const std::string& group);
void add_files(CLI::App& app, JobOptions& options, const FileWords& words);
// --chat-format, by its name in `format`.
void add_chat_format(CLI::App& app, std::string& format, const std::string& group);
void add_chat(CLI::App& app, JobOptions& options, const std::string& group);
void add_stopping(CLI::App& app, JobOptions& options);
// How many ranks there are and what they compute with, and a rank's threads.
void add_machine(CLI::App& app, JobOptions& options);
// The same but for the threads.
void add_ranks(CLI::App& app, JobOptions& options);
void add_batching(CLI::App& app, JobOptions& options);
void add_reports(CLI::App& app, JobOptions& options);
// --metrics, of jobs on files.
void add_metrics(CLI::App& app, JobOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_job_options(const JobOptions& options);

}  // namespace sluice
