// The one decoder: a rank's part of the model, run step by step.
#pragma once

#include "backend/ops.hpp"
#include "comm/device_sums.hpp"
#include "model/config.hpp"
#include "model/kv_cache.hpp"
#include "model/recurring_steps.hpp"
#include "model/shard.hpp"
#include "model/step.hpp"
#include "model/step_inputs.hpp"
#include "model/weights.hpp"

#include <memory>

namespace sluice {

struct DecoderLimits {
    int rows = 0;        // most rows of a step
    int logit_rows = 0;  // most rows whose logits are wanted
    int positions = 0;   // most positions of a sequence
};

// Rows of a step whose absorbed queries, what these attend to, and slices' partial sums exist at a time: many
// times the width of the rows. On the host few, lest they leave the caches between two operations; on a
// device all.
int block_rows(const DecoderLimits& limits, kernels::Family family);

// What a decoder and its operations claim besides weights and cache, in bytes.
std::size_t workspace_bytes(const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
                            kernels::Family family = kernels::Family::Cpu);

class Decoder {
public:
    // `sums`: over the ranks that have the other parts. It and `ops` must outlive the decoder.
    Decoder(const ModelConfig& config, const Shard& shard, Weights weights, const DecoderLimits& limits,
            const Ops& ops, DeviceSums& sums);
    ~Decoder();

    // Runs the step's rows through all layers, adding their keys to the cache. Every rank calls it with the
    // same step. Returns this rank's columns of the logits, float32 [step.logit_rows, local vocabulary], in
    // the operations' memory, when what was queued is done (DeviceSums::wait); valid until the next step.
    // Steps that only decode are recorded where operations and sums can be, unless they are observed.
    View run(const Step& step, KvCache& cache, StepObserver* observer = nullptr);
    // Whether run() returns long before the step is done.
    bool is_queued() const { return ops_.are_queued() && sums_.can_be_recorded(); }
    // For good: what was recorded, which must go before the sums.
    void forget_recordings() { recurring_.forget(); }

    // Global ids [first[s], first[s + 1]) are local vocabulary slice s.
    const std::vector<std::int32_t>& vocabulary_slices() const { return vocabulary_slices_; }
    const Shard& shard() const { return shard_; }

    struct Workspace;

private:
    struct Rows;

    // All operations of the step whose inputs are placed.
    void compute(KvCache& cache, StepObserver* observer);
    void embed(Rows& rows);
    void attend(const MlaSpec& spec, const MlaWeights& weights, Rows& rows, View cache);
    // Of a block, in the latent's coordinates, into its values.
    void attend_latent(const MlaSpec& spec, const MlaWeights& weights, View q, const RowBlock& block,
                       View cache, View values);
    void attend(const GqaSpec& spec, const GqaWeights& weights, Rows& rows, View cache);
    void project_out(const PackedWeight& out, View values, Rows& rows);
    void feed(const DenseWeights& weights, Rows& rows);
    void feed(const MoeSpec& spec, const MoeWeights& weights, Rows& rows, int layer, StepObserver* observer);
    // The gated hidden values [rows, local hidden].
    View gated(const DenseWeights& weights, const Rows& rows);
    void sum_over_ranks(View delta);
    void project_logits(const Rows& rows);

    ModelConfig config_;
    Shard shard_;
    Weights weights_;
    const Ops& ops_;
    DeviceSums& sums_;
    std::vector<std::int32_t> vocabulary_slices_;
    StepInputs inputs_;  // of the step that runs
    RecurringSteps recurring_;
    const void* workspace_ = nullptr;  // of the operations, claimed for good
    std::unique_ptr<Workspace> space_;
};

}  // namespace sluice
