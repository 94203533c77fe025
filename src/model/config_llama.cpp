// Llama, and Mixtral, which is Llama with a mixture of experts.
#include "model/config_keys.hpp"

#include <cmath>

namespace sluice {
namespace {

MoeSpec parse_mixture(const Keys& keys) {
    MoeSpec moe;
    moe.router.experts = keys.integer("num_local_experts", 1, 65536);
    moe.router.top_k = keys.integer("num_experts_per_tok", 1);
    moe.router.renormalize = true;
    moe.hidden = keys.integer("intermediate_size", 1);
    return moe;
}

// A window as long as the longest text is none.
void refuse_sliding_window(const Keys& keys, int max_length) {
    if (!keys.has("sliding_window") || !keys.flag_or("use_sliding_window", true)) return;
    if (keys.integer("sliding_window", 1) < max_length) keys.refuse("sliding_window", "null");
}

}  // namespace

ModelConfig parse_llama(const Keys& keys) {
    if (keys.flag_or("mlp_bias", false)) keys.refuse("mlp_bias", "false");
    if (keys.text_or("hidden_act", "silu") != "silu") keys.refuse("hidden_act", "silu");
    if (keys.number_or("partial_rotary_factor", 1) != 1) keys.refuse("partial_rotary_factor", "1");

    ModelConfig config;
    config.family = keys.text_or("model_type", "");
    const bool mixtral = config.family == "mixtral";
    config.vocab = keys.integer("vocab_size", 1);
    config.dim = keys.integer("hidden_size", 1);
    config.max_length = keys.integer("max_position_embeddings", 1);
    config.norm_eps = keys.positive_or("rms_norm_eps", mixtral ? 1e-5F : 1e-6F);
    config.tied_head = keys.flag_or("tie_word_embeddings", false);
    config.quantization = parse_quantization(keys);
    refuse_sliding_window(keys, config.max_length);

    GqaSpec gqa;
    gqa.heads = keys.integer("num_attention_heads", 1);
    gqa.kv_heads = keys.integer_or("num_key_value_heads", gqa.heads, 1);
    gqa.head_dim = parse_head_dim(keys, config.dim, gqa.heads);
    gqa.qkv_bias = gqa.out_bias = keys.flag_or("attention_bias", false);
    config.attention_scale = 1.0F / std::sqrt(static_cast<float>(gqa.head_dim));
    config.rope = parse_rope(keys, gqa.head_dim, mixtral ? 1e6F : 1e4F);
    config.rope.interleaved = false;

    LayerSpec layer{gqa, {}};
    if (mixtral) {
        layer.feed_forward = parse_mixture(keys);
    } else {
        layer.feed_forward = DenseSpec{keys.integer("intermediate_size", 1)};
    }
    config.layers.assign(static_cast<std::size_t>(keys.integer("num_hidden_layers", 1, 10000)), layer);
    return config;
}

}  // namespace sluice
