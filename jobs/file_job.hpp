// A job on files: prompts in, a file of answers out. What sluice-generate and sluice-score share.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "engine/request_loop.hpp"
#include "jobs/job_options.hpp"
#include "text/completion_file.hpp"
#include "text/request.hpp"
#include "text/run_record.hpp"

#include <functional>
#include <memory>
#include <string>

namespace sluice {

// What is a job's own.
struct FileJob {
    std::string name;  // "generating"
    Purpose purpose = Purpose::Generate;
    Sampling defaults;            // of requests
    int logit_rows = 0;           // most rows of a step whose logits are wanted
    std::function<void()> check;  // refuses options
    // What answers depend on besides their lines, the model and the options that all jobs share.
    std::function<void(RunRecord&)> add_to_record;
    // Rank 0: longest is positions of a sequence; answers go to `output`.
    std::function<std::unique_ptr<RequestLoop>(const LoopParts&, int longest, CompletionFile& output)>
        make_loop;
};

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode run_file_job(Communicator& world, const JobOptions& options, const FileJob& job);

}  // namespace sluice
