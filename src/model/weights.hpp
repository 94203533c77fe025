// A rank's weights: its slices of the checkpoint, packed for its backend.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "model/catalog.hpp"
#include "model/config.hpp"
#include "model/shard.hpp"

#include <functional>
#include <optional>
#include <variant>
#include <vector>

namespace sluice {

struct MlaWeights {
    Packed entry;   // rows: q_a (or q's heads), then kv_a
    Tensor q_norm;  // empty without q_a
    Packed q_b;     // null without q_a
    Tensor kv_norm;
    std::vector<Packed> absorb_k;  // a head's [kv_rank, nope_dim]: kv_b's key rows, transposed
    std::vector<Packed> absorb_v;  // a head's [v_dim, kv_rank]
    Packed out;                    // a segment a slice
};

struct GqaWeights {
    Packed entry;       // rows: q's local heads, then k's, then v's
    Tensor entry_bias;  // likewise; empty without
    Packed out;         // a segment a slice
    Tensor out_bias;    // empty without
};

struct DenseWeights {
    Packed gate_up;  // rows: gate, then up
    Packed down;     // a segment a slice
};

struct MoeWeights {
    Packed router;
    std::optional<Tensor> router_bias;
    std::vector<Packed> gate_up, down;       // of the local experts
    std::vector<std::int32_t> first_expert;  // [local slices + 1]
    std::optional<DenseWeights> shared;
};

struct LayerWeights {
    Tensor attention_norm, attention_post_norm;  // post norms: empty without
    Tensor ffn_norm, ffn_post_norm;
    std::variant<MlaWeights, GqaWeights> attention;
    std::variant<DenseWeights, MoeWeights> feed_forward;
};

// Memory that weights take.
struct WeightBytes {
    std::uint64_t all = 0;
    std::uint64_t packed = 0;   // of it: all but norms, biases and the embedding's table
    std::uint64_t staging = 0;  // beside them while they are loaded: twice the most that is packed as one
    // Of it: the table (not the output matrix), the output matrix, routed experts.
    std::uint64_t embedding = 0, head = 0, experts = 0;
    bool operator==(const WeightBytes&) const = default;
};

struct Weights {
    Tensor embed;  // BF16 [local vocabulary, dim]
    std::vector<LayerWeights> layers;
    Tensor norm;  // with the logits' scale in it
    Packed head;
    WeightBytes bytes;
};

struct LoadProgress {
    std::uint64_t bytes = 0, total = 0;  // of the checkpoint: taken up so far, and this rank's share
    double seconds_waited = 0;           // for them to be read, while nothing was packed
};

// Reads exactly this rank's slices, each tensor once, and packs them while the next ones are read. `gemm`
// says how activations enter quantised products. `progress` is called, on this thread, with each part of a
// tensor.
Weights load_weights(SluiceCheckpoint& checkpoint, const Shard& shard, const Ops& ops, Products gemm,
                     const std::function<void(const LoadProgress&)>& progress);

// What load_weights would claim on this rank for a checkpoint of this configuration, to the byte. `router`:
// BF16 or F32, as the checkpoint stores its routers, which are kept so; no other type makes a difference, but
// to what is read: there the embedding passes for stored like them, and matrices without scales for BF16.
// No device is asked, nor the code for one.
WeightBytes weight_bytes(const ModelConfig& config, const Shard& shard, DType router, kernels::Family family);

// Those weights, which know their sizes and have no values; tensors are empty.
Weights weight_sizes(const ModelConfig& config, const Shard& shard, DType router, kernels::Family family);

// How a checkpoint stores its routers, by how it stores a tensor; BF16 where it has none.
DType router_type(const ModelConfig& config, const std::function<DType(const TensorSpec&)>& type_of);
DType router_type(SluiceCheckpoint& checkpoint);

}  // namespace sluice
