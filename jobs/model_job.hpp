// A job on a model, as all of them run: opening and planning, loading, rank 0 leading and the others
// following.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "core/error.hpp"
#include "engine/engine.hpp"
#include "engine/memory_plan.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "jobs/job_options.hpp"
#include "jobs/metrics.hpp"
#include "model/shard.hpp"
#include "text/chat_formats.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// Everything about a run that can be known, and refused, before the weights are read.
struct Setup {
    std::unique_ptr<SluiceCheckpoint> checkpoint;
    std::unique_ptr<Tokenizer> tokenizer;
    std::optional<ChatTemplate> chat;
    const ChatFormat* chat_format = nullptr;  // nullptr: the checkpoint's own template
    Placement placement;
    Shard shard;
    int threads = 1;
    DecoderLimits limits;
    MemoryPlan memory;
    std::vector<RankLoad> loads;  // of every rank, once the weights are there
};

// What is a job's own.
struct ModelJob {
    const char* name = "";        // "generating"
    int logit_rows = 0;           // most rows of a step whose logits are wanted
    std::function<void()> check;  // refuses options
    // Rank 0's part. Opens its files, and refuses what can be refused before the weights are read.
    std::function<void(const Setup&)> open;
    // Runs the engine until the work is done; returns how it ended.
    std::function<ExitCode(const Setup&, Engine&)> lead;
};

// All that comes before loading, on every rank: opens and plans. A refusal is agreed upon by all ranks.
Setup prepare(Communicator& world, const JobOptions& options, const ModelJob& job);

// Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks (AgreedError).
ExitCode run_model_job(Communicator& world, const JobOptions& options, const ModelJob& job);

// What lead() needs besides. `longest`: most tokens of a prompt and its completion.
RequestEncoder encoder_of(const Setup& setup, const JobOptions& options, int longest);
// Requests start in the order of their arrival, or in the one that is done soonest.
Scheduler scheduler_of(const Setup& setup, const JobOptions& options, bool arrival_order = true);

}  // namespace sluice
