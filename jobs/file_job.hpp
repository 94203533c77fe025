// A job on files: prompts in, a file of answers out. What sluice-generate and sluice-score share.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "engine/request_loop.hpp"
#include "jobs/job_options.hpp"
#include "text/answer_lines.hpp"
#include "text/completion.hpp"
#include "text/partial_answers.hpp"
#include "text/request.hpp"
#include "text/run_record.hpp"
#include "text/score.hpp"

#include <functional>
#include <memory>
#include <string>

namespace sluice {

// What a job's loop is made of.
struct FileLoop {
    LoopParts parts;
    int longest;  // positions of a sequence
    const PartialAnswers& earlier;
    // What takes the loop's answers: completions and what is kept of them while they wait, or scores.
    std::function<void(Completion, PartialAnswer)> put_completion;
    std::function<void(const Score&)> put_score;
};

// What is a job's own.
struct FileJob {
    const char* name = "";  // "generating"
    Purpose purpose = Purpose::Generate;
    Sampling defaults;  // of requests
    OutputFormat output_format = OutputFormat::Jsonl;
    bool all_logits = false;      // of every row of a step, not of one for each sequence
    std::function<void()> check;  // refuses options
    // What answers depend on besides their lines, the model and the options that all jobs share.
    std::function<void(RunRecord&)> add_to_record;
    std::function<std::unique_ptr<RequestLoop>(const FileLoop&)> make_loop;
};

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode run_file_job(Communicator& world, const JobOptions& options, const FileJob& job);

}  // namespace sluice
