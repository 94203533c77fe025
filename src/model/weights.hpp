// A rank's weights: its slices of the checkpoint, packed for its backend.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
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
    Tensor attention_norm, ffn_norm;
    MlaWeights attention;
    std::variant<DenseWeights, MoeWeights> feed_forward;
};

struct Weights {
    Tensor embed;  // BF16 or F32 [local vocabulary, dim]
    std::vector<LayerWeights> layers;
    Tensor norm;
    Packed head;
    std::size_t bytes = 0;  // packed, all together
};

// Reads exactly this rank's slices, each tensor once, and packs them. `gemm` says how activations enter
// quantised products. `progress` is told the bytes read so far after each layer.
Weights load_weights(SluiceCheckpoint& checkpoint, const Shard& shard, const Ops& ops, Products gemm,
                     const std::function<void(std::uint64_t)>& progress);

}  // namespace sluice
