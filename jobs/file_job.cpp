#include "jobs/file_job.hpp"

#include "core/log.hpp"
#include "jobs/model_job.hpp"
#include "jobs/signals.hpp"
#include "text/prompt_count.hpp"
#include "text/resume.hpp"

#include <limits>
#include <optional>
#include <utility>

namespace sluice {
namespace {

// Rank 0's files.
struct Files {
    std::unique_ptr<PromptSource> prompts;
    std::optional<std::int64_t> total;  // requests in the input, where it can be counted
    std::unique_ptr<CompletionFile> output;
};

// What an answer depends on besides its own line: a resumed run must not change it.
RunRecord record_of(const Setup& setup, const JobOptions& options, const FileJob& job) {
    RunRecord record;
    record.add_text("model", setup.checkpoint->id());
    job.add_to_record(record);
    record.add_json("chat", options.chat ? "true" : "false");
    record.add_text("chat_format", options.chat_format);
    record.add_text("system", options.system);
    record.add_json("max_seq_len", std::to_string(setup.limits.positions));
    record.add_text("gemm", options.gemm == Products::Fp8 ? "fp8" : "bf16");
    record.add_text("kv_dtype", name_of(options.kv_dtype));
    // SLUICE_ISA lowers the one; sums of other rank counts than these are in an order of their own.
    record.add_text("instruction_set", kernels::level_of(kernels::this_machine()));
    record.add_text(
        "sums", setup.shard.sums_by_slices() ? "by slices" : fmt::format("of {} ranks", setup.shard.ranks));
    return record;
}

Files open_files(const Setup& setup, const JobOptions& options, const FileJob& job) {
    Files files;
    files.prompts = open_prompts(options.prompts, options.prompt_format, job.defaults, job.purpose);
    files.total = count_requests(options.prompts);
    files.output = std::make_unique<CompletionFile>(options.output, options.output_mode());
    const bool resumes = options.resume && std::filesystem::exists(run_record_path(options.output));
    if (resumes) require_same_run(options.output, record_of(setup, options, job));
    return files;
}

ExitCode stopped() {
    log_info("stopped by signal {}: run again with --resume", stop_signal());
    return ExitCode::Stopped;
}

ExitCode lead(const Setup& setup, Engine& engine, Files& files, const JobOptions& options,
              const FileJob& job) {
    if (stop_signal() != 0) return stopped();
    const Finished finished = files.output->begin(record_of(setup, options, job));
    Tally before;
    before.answered = finished.lines();
    before.errors = finished.errors();
    before.scores = finished.scores();
    const auto source = skip_finished(std::move(files.prompts), finished);

    const int longest = setup.limits.positions;
    // A text that is scored may fill the sequence; its length is judged with its completion.
    const int longest_prompt = job.purpose == Purpose::Score ? std::numeric_limits<int>::max() : longest;
    const RequestEncoder encoder = encoder_of(setup, options, longest_prompt);
    Scheduler scheduler = scheduler_of(setup, options);
    const LoopParts parts{*source, encoder, *setup.tokenizer, scheduler, engine};
    const std::unique_ptr<RequestLoop> loop = job.make_loop(parts, longest, *files.output);
    Progress progress(options.progress, job.purpose, files.total, before);
    const bool complete = loop->run([] { return stop_signal() != 0; }, progress);
    files.output->close();
    progress.finish(loop->tally(), complete);
    if (!complete) return stopped();
    return before.errors + loop->tally().errors > 0 ? ExitCode::SomeErrors : ExitCode::Complete;
}

}  // namespace

ExitCode run_file_job(Communicator& world, const JobOptions& options, const FileJob& job) {
    Files files;
    ModelJob model_job;
    model_job.name = job.name;
    model_job.logit_rows = job.logit_rows;
    model_job.check = job.check;
    model_job.open = [&](const Setup& setup) { files = open_files(setup, options, job); };
    model_job.lead = [&](const Setup& setup, Engine& engine) {
        return lead(setup, engine, files, options, job);
    };
    return run_model_job(world, options, model_job);
}

}  // namespace sluice
