// A model as its features and sizes. No model's name is known outside the parser of its configuration file.
#pragma once

#include "core/dtype.hpp"
#include "core/features.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, 2.1).
struct MlaSpec {
    int heads = 0;
    int q_rank = 0;  // 0: queries straight from the hidden state
    int kv_rank = 0, nope_dim = 0, rope_dim = 0, v_dim = 0;
    int key_dim() const { return nope_dim + rope_dim; }
    int latent_dim() const { return kv_rank + rope_dim; }  // what the KV cache holds of a token
    bool operator==(const MlaSpec&) const = default;
};

// Grouped-query attention (arXiv:2305.13245): heads / kv_heads consecutive query heads share a key and value
// head.
struct GqaSpec {
    int heads = 0, kv_heads = 0, head_dim = 0;
    bool qkv_bias = false, out_bias = false;
    int group() const { return heads / kv_heads; }
    bool operator==(const GqaSpec&) const = default;
};

struct DenseSpec {
    int hidden = 0;
    bool operator==(const DenseSpec&) const = default;
};

struct MoeSpec {
    RouterSpec router;
    bool router_bias = false;  // a bias that steers the selection only
    int hidden = 0;            // of one expert
    int shared_hidden = 0;     // of the shared experts together; 0: none
    bool operator==(const MoeSpec&) const = default;
};

struct LayerSpec {
    std::variant<MlaSpec, GqaSpec> attention;
    std::variant<DenseSpec, MoeSpec> feed_forward;
    bool operator==(const LayerSpec&) const = default;
};

// Rotary embedding, perhaps stretched to longer texts: by a constant (arXiv:2306.15595), by wavelength as
// Llama 3.1 does, or by YaRN (arXiv:2309.00071).
struct RopeSpec {
    enum class Scaling : std::uint8_t { None, Linear, Llama3, Yarn };
    int dim = 0;  // rotated width
    float theta = 10000;
    bool interleaved = true;  // pairs (2i, 2i+1); else (i, i + dim/2)
    Scaling scaling = Scaling::None;
    float factor = 1;
    float beta_fast = 32, beta_slow = 1;              // YaRN
    float low_freq_factor = 1, high_freq_factor = 4;  // Llama3
    int original_length = 0;                          // Llama3, YaRN
    float amplitude = 1;                              // of cos and sin
    bool operator==(const RopeSpec&) const = default;
};

// How the checkpoint's matrices are quantised: to e4m3 in blocks of block_rows x block_cols, or to int8 with
// a scale for each output row and each of a few equal parts of the inputs.
struct Quantization {
    DType dtype = DType::BF16;           // F8E4M3 or I8 where quantised
    int block_rows = 0, block_cols = 0;  // F8E4M3: one scale per block
    bool power_of_two_scales = false;    // F8E4M3: activation scales too ("ue8m0")
    int groups = 1;                      // I8: parts of the inputs of row-parallel matrices; others have one
    bool on() const { return dtype == DType::F8E4M3 || dtype == DType::I8; }
    bool operator==(const Quantization&) const = default;
};

struct ModelConfig {
    std::string family;  // for messages, and to find its tensors' names in foreign checkpoints
    int vocab = 0, dim = 0;
    int max_length = 0;  // positions
    float norm_eps = 1e-6F;
    bool post_norms = false;  // a block's result is normed before it joins the residual stream
    bool tied_head = false;   // the embedding is the output matrix, too
    float embedding_scale = 1, logit_scale = 1;
    float attention_scale = 1;
    float attention_softcap = 0;      // c: scores become c * tanh(score / c); 0: none
    std::optional<int> masked_token;  // its keys are hidden from attention, wherever it stands
    Activation activation = Activation::Silu;
    RopeSpec rope;
    Quantization quantization;
    std::vector<LayerSpec> layers;
    int mtp_layers = 0;  // multi-token-prediction layers after the last, which generation leaves alone
    bool operator==(const ModelConfig&) const = default;
};

// Layers that are alike.
struct LayerKind {
    LayerSpec spec;
    std::uint64_t count = 0;
};

// The kinds of layers that a model has, in the order of their first: sizes need be found once a kind.
std::vector<LayerKind> layer_kinds(const ModelConfig& config);

// "deepseek_v3: 4 layers of width 256 (3 with 16 experts, 4 a token), vocabulary 2048, 2048 positions"
std::string model_text(const ModelConfig& config);

// Reads a model's configuration: `config.json` of Hugging Face (deepseek_v2, deepseek_v3, llama, mixtral,
// grok-1 or grok), the keys of DeepSeek's own `config_*.json`, or those of xAI's run.py. `where` names the
// text in errors. ExitCode::Checkpoint for anything missing, out of range or not supported, naming the key
// and what was found.
ModelConfig parse_config(std::string_view json_text, const std::string& where);

}  // namespace sluice
