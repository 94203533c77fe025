#include "model/config.hpp"

#include "core/json.hpp"

#include <cmath>
#include <limits>

namespace sluice {
namespace {

// Typed access to a configuration's keys, with errors that name them.
class Keys {
public:
    Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
        require(object.is_object(), ExitCode::Checkpoint, "{}: expected a JSON object", where_);
    }

    const std::string& where() const { return where_; }

    bool has(const char* key) const {
        const auto found = object_.find(key);
        return found != object_.end() && !found->is_null();
    }

    Keys inside(const char* key) const { return {object_.at(key), fmt::format("{}: '{}'", where_, key)}; }
    const Json& raw(const char* key) const { return object_.at(key); }

    int integer(const char* key, int least, int most = 1 << 24) const {
        const Json& value = present(key);
        require(value.is_number_integer() && value >= least && value <= most, ExitCode::Checkpoint,
                "{}: '{}' is {}; expected an integer from {} to {}", where_, key, value.dump(), least, most);
        return value.get<int>();
    }
    int integer_or(const char* key, int otherwise, int least, int most = 1 << 24) const {
        return has(key) ? integer(key, least, most) : otherwise;
    }

    float number(const char* key) const {
        const Json& value = present(key);
        require(value.is_number() && std::isfinite(value.get<float>()), ExitCode::Checkpoint,
                "{}: '{}' is {}; expected a finite number", where_, key, value.dump());
        return value.get<float>();
    }
    float positive(const char* key) const {
        const float value = number(key);
        require(value > 0, ExitCode::Checkpoint, "{}: '{}' is {}; expected a positive number", where_, key,
                value);
        return value;
    }
    float positive_or(const char* key, float otherwise) const { return has(key) ? positive(key) : otherwise; }

    bool flag_or(const char* key, bool otherwise) const {
        if (!has(key)) return otherwise;
        const Json& value = object_.at(key);
        require(value.is_boolean(), ExitCode::Checkpoint, "{}: '{}' is {}; expected true or false", where_,
                key, value.dump());
        return value.get<bool>();
    }

    std::string text_or(const char* key, std::string otherwise) const {
        if (!has(key)) return otherwise;
        const Json& value = object_.at(key);
        require(value.is_string(), ExitCode::Checkpoint, "{}: '{}' is {}; expected a string", where_, key,
                value.dump());
        return value.get<std::string>();
    }

    [[noreturn]] void refuse(const char* key, std::string_view supported) const {
        fail(ExitCode::Checkpoint, "{}: '{}' is {}, which is not supported; supported: {}", where_, key,
             has(key) ? object_.at(key).dump() : "missing", supported);
    }

private:
    const Json& present(const char* key) const {
        require(has(key), ExitCode::Checkpoint, "{}: '{}' is missing", where_, key);
        return object_.at(key);
    }

    const Json& object_;
    std::string where_;
};

// YaRN's attention temperature (arXiv:2309.00071, 3.4).
float yarn_mscale(float factor, float mscale) {
    return factor <= 1 ? 1.0F : 0.1F * mscale * std::log(factor) + 1.0F;
}

void check_router(const RouterSpec& router, const std::string& where) {
    require(router.experts % router.groups == 0 && router.top_groups <= router.groups, ExitCode::Checkpoint,
            "{}: {} experts in {} groups of which {} are kept: the groups must divide the experts", where,
            router.experts, router.groups, router.top_groups);
    require(router.top_k <= router.experts / router.groups * router.top_groups, ExitCode::Checkpoint,
            "{}: {} experts a token, but {} of {} groups of {} offer fewer", where, router.top_k,
            router.top_groups, router.groups, router.experts / router.groups);
}

void check_sizes(const ModelConfig& config, const std::string& where) {
    require(config.rope.dim % 2 == 0, ExitCode::Checkpoint, "{}: the rotated width {} is odd", where,
            config.rope.dim);
    std::int64_t experts = 0;
    for (const LayerSpec& layer : config.layers) {
        const auto* moe = std::get_if<MoeSpec>(&layer.feed_forward);
        if (moe == nullptr) continue;
        check_router(moe->router, where);
        experts += moe->router.experts;
    }
    constexpr std::int64_t kMostExperts = 1'000'000;  // each has its tensors in the catalog
    require(experts <= kMostExperts, ExitCode::Checkpoint,
            "{}: {} experts in all layers; at most {} are supported", where, experts, kMostExperts);
}

// ---- Hugging Face's deepseek_v2 and deepseek_v3 ----

RopeSpec hugging_face_rope(const Keys& keys, int key_dim, float& attention_scale) {
    RopeSpec rope;
    rope.dim = keys.integer("qk_rope_head_dim", 2);
    rope.theta = keys.positive_or("rope_theta", 10000);
    rope.interleaved = keys.flag_or("rope_interleave", true);
    attention_scale = 1.0F / std::sqrt(static_cast<float>(key_dim));
    // Newer files say all of it, theta too, in one place.
    const char* section = keys.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    if (!keys.has(section)) return rope;
    const Keys scaling = keys.inside(section);
    rope.theta = scaling.positive_or("rope_theta", rope.theta);
    const char* kind = scaling.has("rope_type") ? "rope_type" : "type";
    if (scaling.text_or(kind, "") == "default") return rope;
    if (scaling.text_or(kind, "") != "yarn") scaling.refuse(kind, "yarn");
    rope.scaling = RopeSpec::Scaling::Yarn;
    rope.factor = scaling.positive("factor");
    rope.beta_fast = scaling.positive_or("beta_fast", 32);
    rope.beta_slow = scaling.positive_or("beta_slow", 1);
    rope.original_length = scaling.integer("original_max_position_embeddings", 1);
    const float mscale = scaling.has("mscale") ? scaling.number("mscale") : 1.0F;
    const float mscale_all = scaling.has("mscale_all_dim") ? scaling.number("mscale_all_dim") : 0.0F;
    rope.amplitude = yarn_mscale(rope.factor, mscale) / yarn_mscale(rope.factor, mscale_all);
    if (mscale_all != 0) {
        const float temperature = yarn_mscale(rope.factor, mscale_all);
        attention_scale *= temperature * temperature;
    }
    return rope;
}

Quantization hugging_face_quantization(const Keys& keys) {
    Quantization quantization;
    if (!keys.has("quantization_config")) return quantization;
    const Keys q = keys.inside("quantization_config");
    if (q.text_or("quant_method", "") != "fp8") q.refuse("quant_method", "fp8");
    if (q.text_or("fmt", "e4m3") != "e4m3") q.refuse("fmt", "e4m3");
    if (q.text_or("activation_scheme", "dynamic") != "dynamic") q.refuse("activation_scheme", "dynamic");
    quantization.dtype = DType::F8E4M3;
    const Json block = q.has("weight_block_size") ? q.raw("weight_block_size") : Json();
    if (!block.is_array() || block.size() != 2 || !block[0].is_number_integer() ||
        !block[1].is_number_integer() || block[0] < 1 || block[1] < 1 || block[0] > 65536 ||
        block[1] > 65536) {
        q.refuse("weight_block_size", "two positive integers, such as [128, 128]");
    }
    quantization.block_rows = block[0].get<int>();
    quantization.block_cols = block[1].get<int>();
    const std::string format = q.text_or("scale_fmt", "");
    if (format != "" && format != "ue8m0") q.refuse("scale_fmt", "ue8m0, or no such key");
    quantization.power_of_two_scales = format == "ue8m0";
    return quantization;
}

MoeSpec hugging_face_moe(const Keys& keys, bool v3) {
    MoeSpec moe;
    moe.router.experts = keys.integer("n_routed_experts", 1, 65536);
    moe.router.top_k = keys.integer("num_experts_per_tok", 1);
    moe.hidden = keys.integer("moe_intermediate_size", 1);
    moe.shared_hidden = moe.hidden * keys.integer_or("n_shared_experts", 0, 0, 64);
    moe.router.renormalize = keys.flag_or("norm_topk_prob", v3);
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
    if (!v3 && moe.router.renormalize && moe.router.top_k > 1) moe.router.scale = 1;
    return moe;
}

ModelConfig parse_hugging_face(const Keys& keys) {
    const std::string type = keys.text_or("model_type", "");
    const bool v3 = type == "deepseek_v3";
    if (!v3 && type != "deepseek_v2") keys.refuse("model_type", "deepseek_v2, deepseek_v3");
    if (keys.flag_or("attention_bias", false)) keys.refuse("attention_bias", "false");
    if (keys.flag_or("tie_word_embeddings", false)) keys.refuse("tie_word_embeddings", "false");
    if (keys.text_or("hidden_act", "silu") != "silu") keys.refuse("hidden_act", "silu");

    ModelConfig config;
    config.family = type;
    config.vocab = keys.integer("vocab_size", 1);
    config.dim = keys.integer("hidden_size", 1);
    config.max_length = keys.integer("max_position_embeddings", 1);
    config.norm_eps = keys.positive_or("rms_norm_eps", 1e-6F);
    config.mtp_layers = keys.integer_or("num_nextn_predict_layers", 0, 0);
    config.quantization = hugging_face_quantization(keys);

    MlaSpec mla;
    mla.heads = keys.integer("num_attention_heads", 1);
    mla.q_rank = keys.integer_or("q_lora_rank", 0, 0);
    mla.kv_rank = keys.integer("kv_lora_rank", 1);
    mla.nope_dim = keys.integer("qk_nope_head_dim", 1);
    mla.rope_dim = keys.integer("qk_rope_head_dim", 2);
    mla.v_dim = keys.integer("v_head_dim", 1);
    config.rope = hugging_face_rope(keys, mla.key_dim(), config.attention_scale);

    const int layers = keys.integer("num_hidden_layers", 1, 10000);
    const bool any_moe = keys.has("n_routed_experts");
    const int dense_first = any_moe ? keys.integer_or("first_k_dense_replace", 0, 0) : layers;
    const int frequency = keys.integer_or("moe_layer_freq", 1, 1);
    for (int layer = 0; layer < layers; ++layer) {
        if (layer >= dense_first && layer % frequency == 0) {
            config.layers.push_back({mla, hugging_face_moe(keys, v3)});
        } else {
            config.layers.push_back({mla, DenseSpec{keys.integer("intermediate_size", 1)}});
        }
    }
    return config;
}

// ---- The keys of DeepSeek's own inference code, whose defaults apply ----

ModelConfig parse_deepseek(const Keys& keys) {
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
    if (dtype == "fp8")
        config.quantization = {DType::F8E4M3, 128, 128, keys.text_or("scale_fmt", "") == "ue8m0"};

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

}  // namespace

ModelConfig parse_config(std::string_view json_text, const std::string& where) {
    const Json json = parse_json(json_text, where, ExitCode::Checkpoint);
    const Keys keys(json, where);
    const bool deepseeks_own = !keys.has("model_type") && keys.has("n_layers") && keys.has("dim");
    ModelConfig config = deepseeks_own ? parse_deepseek(keys) : parse_hugging_face(keys);
    check_sizes(config, where);
    return config;
}

}  // namespace sluice
