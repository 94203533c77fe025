#include "jobs/file_job.hpp"

#include "comm/rank_state.hpp"
#include "core/log.hpp"
#include "core/signals.hpp"
#include "jobs/job_files.hpp"
#include "jobs/metrics.hpp"
#include "jobs/model_job.hpp"
#include "jobs/stopwatch.hpp"
#include "jobs/timed_source.hpp"
#include "text/answer_writer.hpp"
#include "text/completion_file.hpp"
#include "text/prompt_count.hpp"
#include "text/request_json.hpp"
#include "text/resume.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

namespace sluice {
namespace {

// Rank 0's files.
struct Files {
    std::unique_ptr<PromptSource> prompts;
    std::optional<std::int64_t> total;  // requests in the input, where it can be counted
    RunRecord record;
    std::unique_ptr<CompletionFile> output;
    std::optional<StopConditions> stop;
};

// Before anything was written.
[[noreturn]] void throw_stopped(const StopConditions& stop) {
    fail(ExitCode::Stopped, "stopped before the first request, because {}: run the same command again",
         stop.reason());
}

bool is_in_order(const JobOptions& options, const FileJob& job) {
    return AnswerLayout{job.output_format, options.ordered}.in_order();
}

// What an answer depends on besides its own line: a resumed run must not change it.
RunRecord record_of(const Setup& setup, const JobOptions& options, const FileJob& job) {
    RunRecord record;
    record.add_text("model", setup.checkpoint->id());
    job.add_to_record(record);
    record.add_text("field", options.field);
    record.add_text("partition", fmt::format("{}/{}", options.partition.part, options.partition.parts));
    record.add_json("ordered", is_in_order(options, job) ? "true" : "false");
    record.add_json("chat", options.chat ? "true" : "false");
    record.add_text("chat_format", options.chat_format);
    record.add_text("system", options.system);
    record.add_json("max_seq_len", std::to_string(setup.limits.positions));
    record.add_text("gemm", options.gemm == Products::Fp8 ? "fp8" : "bf16");
    record.add_text("kv_dtype", name_of(options.kv_dtype));
    // SLUICE_ISA or --device changes the one; sums of other rank counts than these are in an order of their
    // own.
    record.add_text("instruction_set", setup.compute.level);
    record.add_text(
        "sums", setup.shard.sums_by_slices() ? "by slices" : fmt::format("of {} ranks", setup.shard.ranks));
    return record;
}

// Where lines are counted, it matters which files there are.
std::string names_of_files(const std::vector<std::filesystem::path>& paths) {
    std::vector<std::string> names;
    for (const auto& path : paths) names.push_back(to_json_string(path.filename().string()));
    return fmt::format("[{}]", fmt::join(names, ", "));
}

Files open_files(const Setup& setup, const JobOptions& options, const FileJob& job) {
    const Activity activity("opening its files",
                            Activity::Kind::OpenEnded);  // an input of any size is counted
    Files files;
    const std::vector<std::filesystem::path> paths = prompt_files_of(options);
    const bool part_of_txt = job.output_format == OutputFormat::Txt && options.partition.parts > 1;
    files.prompts = open_prompts(paths, {options.prompt_format, options.field, job.defaults, job.purpose,
                                         options.partition, part_of_txt ? 1 : kMostCompletions});
    files.record = record_of(setup, options, job);
    if (is_in_order(options, job) || options.partition.parts > 1)
        files.record.add_json("prompts", names_of_files(paths));
    files.output = std::make_unique<CompletionFile>(
        OutputOptions{options.output, options.output_mode(), job.output_format, options.sync_seconds});
    files.output->check(files.record);
    files.stop.emplace(options.stop, slurm_job_end());
    // Rather than load the weights for nothing.
    if (files.stop->met(stop_signal(), 0)) throw_stopped(*files.stop);
    files.total = count_requests(paths, options.partition);
    return files;
}

Tally tally_of(const Finished& finished) {
    Tally tally;
    tally.answered = finished.requests();
    tally.errors = finished.errors();
    tally.scores = finished.scores();
    return tally;
}

// Answers that an ordered output lets wait for an earlier one.
std::int64_t window_of(const Setup& setup) { return std::max(8192, 8 * setup.batch.sequences); }

// Rank 0's work on them.
class FileRun {
public:
    FileRun(const Setup& setup, Engine& engine, Files& files, const JobOptions& options, const FileJob& job)
        : setup_(setup),
          engine_(engine),
          files_(files),
          options_(options),
          job_(job),
          metrics_(options.metrics) {
        status_.total = files.total;
        status_.loads = setup.loads;
    }

    ExitCode run() {
        if (must_stop()) {
            show("stopped");
            throw_stopped(*files_.stop);
        }
        TimedSource source(skip_finished(std::move(files_.prompts), begin()));
        answers_.emplace(*files_.output,
                         AnswerLayout{job_.output_format, options_.ordered, window_of(setup_)});
        const RequestEncoder encoder = encoder_of(setup_, options_, longest_prompt());
        Scheduler scheduler = scheduler_of(setup_, options_, is_in_order(options_, job_));
        const LoopParts parts{source,
                              encoder,
                              *setup_.tokenizer,
                              scheduler,
                              engine_,
                              [&](std::int64_t ordinal) { return answers_->has_room_for(ordinal); },
                              [&] { engine_.idle(); },
                              tuner_of(setup_, options_, scheduler)};
        const std::unique_ptr<RequestLoop> loop = job_.make_loop(loop_of(parts));
        Progress progress(options_.progress, job_.purpose, files_.total, status_.before);
        const auto note = [&](const Tally& tally) {
            status_.now = tally;
            status_.now.errors = answers_->errors();  // several completions may be one record
            status_.input_seconds = source.seconds();
        };
        const bool complete = loop->run([&] { return must_stop(); },
                                        [&](const Tally& tally) {
                                            note(tally);
                                            progress.update(status_.now);
                                            if (metrics_.due()) show("running");
                                        });
        note(loop->tally());
        if (complete)
            finish();
        else
            keep_unfinished(*loop);
        progress.finish(status_.now, complete);
        show(complete ? "complete" : "stopped");
        return complete ? code_of_answers() : code_of_stop();
    }

    // In the metrics: "running", "complete", "stopped" or "failed".
    void show(const char* state) {
        status_.state = state;
        status_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        status_.ranks = engine_.reports();
        metrics_.update(status_);
    }

private:
    Finished begin() {
        const Activity activity("reading its output", Activity::Kind::OpenEnded);  // which may be of any size
        Finished finished = files_.output->begin(files_.record);
        status_.before = tally_of(finished);
        const std::size_t partials = files_.output->partials().size();
        if (partials > 0) log_info("{} half-written answers are continued", partials);
        return finished;
    }

    // A text that is scored may fill the sequence; its length is judged with its completion.
    int longest_prompt() const {
        return job_.purpose == Purpose::Score ? std::numeric_limits<int>::max() : setup_.limits.positions;
    }

    FileLoop loop_of(const LoopParts& parts) {
        const auto put = [this](auto&&... answer) {
            const Stopwatch watch(status_.output_seconds);
            const Activity activity("writing an answer", Activity::Kind::OpenEnded);  // a pipe may be full
            answers_->put(std::forward<decltype(answer)>(answer)...);
        };
        return {parts, setup_.limits.positions, files_.output->partials(),
                [put](Completion completion, PartialAnswer partial) {
                    put(std::move(completion), std::move(partial));
                },
                [put](const Score& score) { put(score); }};
    }

    std::int64_t errors() const { return status_.before.errors + (answers_ ? answers_->errors() : 0); }
    bool must_stop() {
        const int signal = stop_signal() != 0 ? stop_signal() : engine_.stop_signal();
        return files_.stop->met(signal, errors());
    }

    void finish() {
        expect(!answers_->has_unwritten(), "every request is answered, but not every answer written");
        const Activity activity("closing its output");
        files_.output->finish();
    }

    // Beside what an earlier run had of requests that this one has not come to.
    void keep_unfinished(const RequestLoop& loop) {
        const Activity activity("closing its output");
        for (PartialAnswer& each : loop.unfinished()) files_.output->partials().keep(std::move(each));
        answers_->keep_unwritten();
        files_.output->close();
    }

    ExitCode code_of_answers() const { return errors() > 0 ? ExitCode::SomeErrors : ExitCode::Complete; }

    ExitCode code_of_stop() const {
        const StopConditions& stop = *files_.stop;
        require(stop.code() == ExitCode::Stopped, stop.code(),
                "stopped, because {}: see {}. With --resume and a higher number the run goes on",
                stop.reason(), options_.output.string());
        log_info("stopped, because {}: run again with --resume", stop.reason());
        return ExitCode::Stopped;
    }

    using Clock = std::chrono::steady_clock;

    const Setup& setup_;
    Engine& engine_;
    Files& files_;
    const JobOptions& options_;
    const FileJob& job_;
    std::optional<AnswerWriter> answers_;
    Metrics metrics_;
    RunStatus status_;
    Clock::time_point start_ = Clock::now();
};

}  // namespace

ExitCode run_file_job(Communicator& world, const JobOptions& options, const FileJob& job) {
    Files files;
    ModelJob model_job;
    model_job.name = job.name;
    model_job.all_logits = job.all_logits;
    model_job.check = job.check;
    model_job.open = [&](const Setup& setup) { files = open_files(setup, options, job); };
    model_job.lead = [&](const Setup& setup, Engine& engine) {
        FileRun run(setup, engine, files, options, job);
        try {
            return run.run();
        } catch (const Error& problem) {
            if (problem.code() != ExitCode::Stopped) run.show("failed");
            throw;
        }
    };
    return run_model_job(world, options, model_job);
}

}  // namespace sluice
