// A model as its features and sizes. No model's name is known outside the parser of its configuration file.
#pragma once

#include "core/dtype.hpp"
#include "core/features.hpp"

#include <cstdint>
#include <filesystem>
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
};

struct DenseSpec {
    int hidden = 0;
};

struct MoeSpec {
    RouterSpec router;
    bool router_bias = false;  // a bias that steers the selection only
    int hidden = 0;            // of one expert
    int shared_hidden = 0;     // of the shared experts together; 0: none
};

struct LayerSpec {
    MlaSpec attention;
    std::variant<DenseSpec, MoeSpec> feed_forward;
};

// Rotary embedding, perhaps stretched by YaRN (arXiv:2309.00071).
struct RopeSpec {
    enum class Scaling : std::uint8_t { None, Yarn };
    int dim = 0;  // rotated width
    float theta = 10000;
    bool interleaved = true;  // pairs (2i, 2i+1)
    Scaling scaling = Scaling::None;
    float factor = 1, beta_fast = 32, beta_slow = 1;
    int original_length = 0;
    float amplitude = 1;  // of cos and sin
};

// How the checkpoint's matrices are quantised.
struct Quantization {
    DType dtype = DType::BF16;           // F8E4M3 where quantised
    int block_rows = 0, block_cols = 0;  // one scale per block
    bool power_of_two_scales = false;    // activation scales too ("ue8m0")
};

struct ModelConfig {
    std::string family;  // for messages only
    int vocab = 0, dim = 0;
    int max_length = 0;  // positions
    float norm_eps = 1e-6F;
    float attention_scale = 1;
    Activation activation = Activation::Silu;
    RopeSpec rope;
    Quantization quantization;
    std::vector<LayerSpec> layers;
    int mtp_layers = 0;  // multi-token-prediction layers after the last, which generation leaves alone
};

// Reads `config.json` of Hugging Face's deepseek_v2 and deepseek_v3, or the keys of DeepSeek's own
// `config_*.json`. `where` names the text in errors. ExitCode::Checkpoint for anything missing, out of range
// or not supported, naming the key and what was found.
ModelConfig parse_config(std::string_view json_text, const std::string& where);

}  // namespace sluice
