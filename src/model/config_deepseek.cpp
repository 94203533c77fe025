// DeepSeek-V2, V2.5, V3, V3.1 and R1.
#include "model/config_keys.hpp"

#include <cmath>

namespace sluice {
namespace {

// YaRN sharpens the scores of DeepSeek's models by its temperature, squared: once for queries, once for keys.
float attention_scale(const Keys& keys, int key_dim, const RopeSpec& rope) {
    const float plain = 1.0F / std::sqrt(static_cast<float>(key_dim));
    if (rope.scaling != RopeSpec::Scaling::Yarn) return plain;
    const Keys scaling = keys.inside(rope_section(keys));
    const float mscale = scaling.number_or("mscale_all_dim", 0);
    const float temperature = mscale == 0 ? 1.0F : yarn_mscale(rope.factor, mscale);
    return plain * (temperature * temperature);
}

MoeSpec parse_moe(const Keys& keys, bool v3) {
    MoeSpec moe;
    moe.router.experts = keys.integer("n_routed_experts", 1, 65536);
    moe.router.top_k = keys.integer("num_experts_per_tok", 1);
    moe.hidden = keys.integer("moe_intermediate_size", 1);
    moe.shared_hidden = moe.hidden * keys.integer_or("n_shared_experts", 0, 0, 64);
    moe.router.renormalize = keys.flag_or("norm_topk_prob", v3) && moe.router.top_k > 1;
    moe.router.scale = keys.has("routed_scaling_factor") ? keys.number("routed_scaling_factor") : 1.0F;
    const std::string score = keys.text_or("scoring_func", v3 ? "sigmoid" : "softmax");
    if (score != "softmax" && score != "sigmoid") keys.refuse("scoring_func", "softmax, sigmoid");
    moe.router.score = score == "sigmoid" ? RouterSpec::Score::Sigmoid : RouterSpec::Score::Softmax;
    const std::string method = keys.text_or("topk_method", v3 ? "noaux_tc" : "greedy");
    if (method != "greedy") {
        if (method != "group_limited_greedy" && method != "noaux_tc") {
            keys.refuse("topk_method", "greedy, group_limited_greedy, noaux_tc");
        }
        moe.router.groups = keys.integer_or("n_group", 1, 1);
        moe.router.top_groups = keys.integer_or("topk_group", 1, 1);
        moe.router_bias = method == "noaux_tc";
    }
    // DeepSeek-V2's own code scales the weights only where it does not renormalise them.
    if (!v3 && moe.router.renormalize) moe.router.scale = 1;
    return moe;
}

}  // namespace

ModelConfig parse_deepseek(const Keys& keys) {
    const std::string type = keys.text_or("model_type", "");
    const bool v3 = type == "deepseek_v3";
    if (keys.flag_or("attention_bias", false)) keys.refuse("attention_bias", "false");
    if (keys.flag_or("tie_word_embeddings", false)) keys.refuse("tie_word_embeddings", "false");
    if (keys.text_or("hidden_act", "silu") != "silu") keys.refuse("hidden_act", "silu");

    ModelConfig config;
    config.family = type;
    config.vocab = keys.integer("vocab_size", 1);
    config.dim = keys.integer("hidden_size", 1);
    config.max_length = keys.integer("max_position_embeddings", 1);
    config.norm_eps = keys.positive_or("rms_norm_eps", 1e-6F);
    config.mtp_layers = keys.integer_or("num_nextn_predict_layers", 0, 0, 16);
    config.quantization = parse_quantization(keys);

    MlaSpec mla;
    mla.heads = keys.integer("num_attention_heads", 1);
    mla.q_rank = keys.integer_or("q_lora_rank", 0, 0);
    mla.kv_rank = keys.integer("kv_lora_rank", 1);
    mla.nope_dim = keys.integer("qk_nope_head_dim", 1);
    mla.rope_dim = keys.integer("qk_rope_head_dim", 2);
    mla.v_dim = keys.integer("v_head_dim", 1);
    config.rope = parse_rope(keys, mla.rope_dim);
    config.rope.interleaved = keys.flag_or("rope_interleave", true);
    config.attention_scale = attention_scale(keys, mla.key_dim(), config.rope);

    const int layers = keys.integer("num_hidden_layers", 1, 10000);
    const bool any_moe = keys.has("n_routed_experts");
    const int dense_first = any_moe ? keys.integer_or("first_k_dense_replace", 0, 0) : layers;
    const int frequency = keys.integer_or("moe_layer_freq", 1, 1);
    for (int layer = 0; layer < layers; ++layer) {
        if (layer >= dense_first && layer % frequency == 0) {
            config.layers.push_back({mla, parse_moe(keys, v3)});
        } else {
            config.layers.push_back({mla, DenseSpec{keys.integer("intermediate_size", 1)}});
        }
    }
    return config;
}

// The keys of DeepSeek's own inference code, whose defaults apply.
ModelConfig parse_deepseek_own(const Keys& keys) {
    ModelConfig config;
    config.family = "deepseek";
    config.vocab = keys.integer_or("vocab_size", 102400, 1);
    config.dim = keys.integer_or("dim", 2048, 1);
    config.max_length = keys.integer_or("max_seq_len", 4 * 4096, 1);

    MlaSpec mla;
    mla.heads = keys.integer_or("n_heads", 16, 1);
    mla.q_rank = keys.integer_or("q_lora_rank", 0, 0);
    mla.kv_rank = keys.integer_or("kv_lora_rank", 512, 1);
    mla.nope_dim = keys.integer_or("qk_nope_head_dim", 128, 1);
    mla.rope_dim = keys.integer_or("qk_rope_head_dim", 64, 2);
    mla.v_dim = keys.integer_or("v_head_dim", 128, 1);

    RopeSpec& rope = config.rope;
    rope.dim = mla.rope_dim;
    rope.theta = keys.positive_or("rope_theta", 10000);
    rope.original_length = keys.integer_or("original_seq_len", 4096, 1);
    config.attention_scale = 1.0F / std::sqrt(static_cast<float>(mla.key_dim()));
    if (config.max_length > rope.original_length) {
        rope.scaling = RopeSpec::Scaling::Yarn;
        rope.factor = keys.positive_or("rope_factor", 40);
        rope.beta_fast = keys.positive_or("beta_fast", 32);
        rope.beta_slow = keys.positive_or("beta_slow", 1);
        const float temperature = yarn_mscale(rope.factor, keys.has("mscale") ? keys.number("mscale") : 1.0F);
        config.attention_scale *= temperature * temperature;
    }

    const std::string dtype = keys.text_or("dtype", "bf16");
    if (dtype != "bf16" && dtype != "fp8") keys.refuse("dtype", "bf16, fp8");
    config.quantization =
        dtype == "fp8" ? Quantization{DType::F8E4M3, 128, 128, keys.text_or("scale_fmt", "") == "ue8m0"}
                       : parse_quantization(keys);  // which DeepSeek's own files never have

    MoeSpec moe;
    const std::string score = keys.text_or("score_func", "softmax");
    if (score != "softmax" && score != "sigmoid") keys.refuse("score_func", "softmax, sigmoid");
    const bool sigmoid = score == "sigmoid";
    moe.hidden = keys.integer_or("moe_inter_dim", 1408, 1);
    moe.shared_hidden = moe.hidden * keys.integer_or("n_shared_experts", 2, 0, 64);
    moe.router_bias = sigmoid;  // the models with sigmoid scores are those with a selection bias
    moe.router = {sigmoid ? RouterSpec::Score::Sigmoid : RouterSpec::Score::Softmax,
                  keys.integer_or("n_routed_experts", 64, 1),
                  keys.integer_or("n_activated_experts", 6, 1),
                  keys.integer_or("n_expert_groups", 1, 1),
                  keys.integer_or("n_limited_groups", 1, 1),
                  sigmoid,
                  keys.has("route_scale") ? keys.number("route_scale") : 1.0F};
    const int layers = keys.integer_or("n_layers", 27, 1, 10000);
    const int dense_layers = keys.integer_or("n_dense_layers", 1, 0);
    for (int layer = 0; layer < layers; ++layer) {
        if (layer < dense_layers) {
            config.layers.push_back({mla, DenseSpec{keys.integer_or("inter_dim", 10944, 1)}});
        } else {
            config.layers.push_back({mla, moe});
        }
    }
    config.mtp_layers = sigmoid ? 1 : 0;  // published with one, which these keys do not mention
    return config;
}

}  // namespace sluice
