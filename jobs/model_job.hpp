// A job on a model, as all of them run: opening and planning, loading, rank 0 leading and the others
// following.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"
#include "comm/placement.hpp"
#include "core/error.hpp"
#include "engine/batch_tuner.hpp"
#include "engine/engine.hpp"
#include "engine/memory_plan.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "jobs/compute_device.hpp"
#include "jobs/job_options.hpp"
#include "jobs/metrics.hpp"
#include "model/shard.hpp"
#include "text/chat_formats.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

#include <cstdint>
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
    ComputeDevice compute;
    Shard shard;
    int threads = 1;
    BatchLimits batch;     // the most that the scheduler may run
    DecoderLimits limits;  // what is provided for: those, and ModelJob::sequences
    MemoryPlan memory;
    std::vector<RankLoad> loads;  // of every rank, once the weights are there
};

// What is a job's own.
struct ModelJob {
    const char* name = "";        // "generating"
    bool all_logits = false;      // of every row of a step, not of one for each sequence
    int longest = 0;              // positions of a sequence, where nobody sets them; 0: the model's
    int sequences = 0;            // of steps that lead() plans itself, a row each: they are provided for, too
    std::uint64_t memory = 0;     // bytes that each rank claims besides, where it computes on the host
    std::function<void()> check;  // refuses options
    // Rank 0's part. Opens its files, and refuses what can be refused before the weights are read.
    std::function<void(const Setup&)> open;
    // Runs the engine until the work is done; returns how it ended.
    std::function<ExitCode(const Setup&, Engine&)> lead;
    // Every rank's part of Engine::idle().
    std::function<void()> idle;
};

// All that comes before loading, on every rank: opens and plans. A refusal is agreed upon by all ranks.
Setup prepare(Communicator& world, const JobOptions& options, const ModelJob& job);

// Says on the log what was prepared.
void log_plan(const Setup& setup, const JobOptions& options);

// This rank's weights, read and packed. `setup` is told how every rank fared.
Weights load_model(Communicator& world, Setup& setup, const Ops& ops, const JobOptions& options);

// A rank's machinery on its weights: memory is claimed here. `setup` and `ops` must outlive it.
class LoadedModel {
public:
    LoadedModel(Communicator& world, const Setup& setup, Weights weights, const Ops& ops, DType kv_dtype);
    LoadedModel(const LoadedModel&) = delete;
    LoadedModel& operator=(const LoadedModel&) = delete;
    ~LoadedModel() { decoder_->forget_recordings(); }

    // Runs `job` with all ranks: rank 0 leads, the others follow. All return how it ended.
    ExitCode run(const ModelJob& job);

    KvCache& cache() { return *cache_; }

private:
    Communicator& world_;
    const Setup& setup_;
    std::optional<Decoder> decoder_;
    std::optional<KvCache> cache_;
    std::optional<Sampler> sampler_;
    std::optional<Engine> engine_;
    // Goes first: what a rank that fails has queued may wait for other ranks, and memory that it uses cannot
    // be given back before the links are cut.
    std::unique_ptr<DeviceSums> sums_;
};

// What it computes with, until the job ends.
Ops ops_of(const Setup& setup, OpClock* clock = nullptr);

// Between the devices that the ranks compute on; null where they have none. Collective.
std::unique_ptr<DeviceLinks> links_of(Communicator& world, const Setup& setup, const Ops& ops);

// All of it. Runs on every rank of `world`. Errors that a user can act on are agreed upon by all ranks
// (AgreedError).
ExitCode run_model_job(Communicator& world, const JobOptions& options, const ModelJob& job);

// What lead() needs besides. `longest`: most tokens of a prompt and its completion.
RequestEncoder encoder_of(const Setup& setup, const JobOptions& options, int longest);
// Requests start in the order of their arrival, or in the one that is done soonest.
Scheduler scheduler_of(const Setup& setup, const JobOptions& options, bool arrival_order = true);
// For LoopParts: keeps the scheduler to the steps that pay off, where the options leave it open.
std::function<void(const StepCost&)> tuner_of(const Setup& setup, const JobOptions& options,
                                              Scheduler& scheduler);

}  // namespace sluice
