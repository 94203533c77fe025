// Grok-1, from Hugging Face's layout and from the names of xAI's own code.
#include "model/config_keys.hpp"

namespace sluice {
namespace {

// What the family's files leave unsaid, for it never varied.
ModelConfig common() {
    ModelConfig config;
    config.family = "grok-1";
    config.norm_eps = 1e-5F;
    config.post_norms = true;
    config.attention_softcap = 30;
    config.activation = Activation::GeluTanh;  // files say "gelu", and mean the tanh form
    return config;
}

void add_layers(ModelConfig& config, int count, const GqaSpec& gqa, const MoeSpec& moe) {
    config.rope.interleaved = false;
    config.layers.assign(static_cast<std::size_t>(count), LayerSpec{gqa, moe});
}

// The width of an expert, as xAI's model.py computes it.
int expert_width(const Keys& model, int dim) {
    constexpr const char* kKey = "widening_factor";
    constexpr int kWidest = 1 << 20;
    (void)model.positive(kKey);
    const double widened = model.raw(kKey).get<double>() * dim;
    const int width = widened < 2.0 * kWidest ? static_cast<int>(widened) * 2 / 3 : 0;
    const int rounded = (width + 7) / 8 * 8;
    if (rounded < 1 || rounded > kWidest)
        model.refuse(kKey, fmt::format("a factor that makes experts 1 to {} wide", kWidest));
    return rounded;
}

}  // namespace

ModelConfig parse_grok(const Keys& keys) {
    // Those of Grok-2, whose layers differ.
    for (const char* key :
         {"residual_moe", "router_logit_softcapping", "final_logit_softcapping", "attn_temperature_len"}) {
        keys.refuse_if_set(key);
    }
    ModelConfig config = common();
    config.vocab = keys.integer("vocab_size", 1);
    config.dim = keys.integer("hidden_size", 1);
    config.max_length = keys.integer("max_position_embeddings", 1);
    config.norm_eps = keys.positive_or("rms_norm_eps", config.norm_eps);
    config.tied_head = keys.flag_or("tie_word_embeddings", true);
    config.embedding_scale = keys.positive("embedding_multiplier_scale");
    config.logit_scale = keys.positive("output_multiplier_scale");
    config.attention_scale = keys.positive("attn_output_multiplier");
    config.attention_softcap = keys.positive_or("max_attn_value", config.attention_softcap);
    if (keys.has("pad_token_id")) config.masked_token = keys.integer("pad_token_id", 0);
    config.quantization = parse_quantization(keys);

    GqaSpec gqa;
    gqa.heads = keys.integer("num_attention_heads", 1);
    gqa.kv_heads = keys.integer("num_key_value_heads", 1);
    gqa.head_dim = parse_head_dim(keys, config.dim, gqa.heads);
    MoeSpec moe;
    moe.router.experts =
        keys.integer(keys.has("num_local_experts") ? "num_local_experts" : "num_experts", 1, 65536);
    moe.router.top_k = keys.integer("num_experts_per_tok", 1);
    moe.hidden = keys.integer("intermediate_size", 1);
    config.rope = parse_rope(keys, gqa.head_dim);
    add_layers(config, keys.integer("num_hidden_layers", 1, 10000), gqa, moe);
    return config;
}

ModelConfig parse_grok_own(const Keys& keys) {
    ModelConfig config = common();
    config.vocab = keys.integer("vocab_size", 1);
    config.max_length = keys.integer("sequence_len", 1);
    config.tied_head = true;
    config.embedding_scale = keys.positive("embedding_multiplier_scale");
    config.logit_scale = keys.positive("output_multiplier_scale");
    config.masked_token = keys.integer_or("pad_token", 0, 0);
    config.quantization = parse_quantization(keys);

    const Keys model = keys.inside("model");
    config.dim = model.integer("emb_size", 1);
    config.attention_scale = model.positive("attn_output_multiplier");
    GqaSpec gqa;
    gqa.heads = model.integer("num_q_heads", 1);
    gqa.kv_heads = model.integer("num_kv_heads", 1);
    gqa.head_dim = model.integer("key_size", 1);
    MoeSpec moe;
    moe.router.experts = model.integer("num_experts", 1, 65536);
    moe.router.top_k = model.integer("num_selected_experts", 1);
    moe.hidden = expert_width(model, config.dim);
    config.rope.dim = gqa.head_dim;
    add_layers(config, model.integer("num_layers", 1, 10000), gqa, moe);
    return config;
}

}  // namespace sluice
