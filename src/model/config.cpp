#include "model/config.hpp"

#include "core/error.hpp"
#include "core/json.hpp"
#include "model/config_keys.hpp"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

struct Family {
    const char* model_type;
    ModelConfig (*parse)(const Keys&);
};

constexpr Family kFamilies[] = {{"deepseek_v2", parse_deepseek}, {"deepseek_v3", parse_deepseek},
                                {"llama", parse_llama},          {"mixtral", parse_llama},
                                {"grok-1", parse_grok},          {"grok", parse_grok}};

void check_router(const RouterSpec& router, const std::string& where) {
    require(router.experts % router.groups == 0 && router.top_groups <= router.groups, ExitCode::Checkpoint,
            "{}: {} experts in {} groups of which {} are kept: the groups must divide the experts", where,
            router.experts, router.groups, router.top_groups);
    require(router.top_k <= router.experts / router.groups * router.top_groups, ExitCode::Checkpoint,
            "{}: {} experts a token, but {} of {} groups of {} offer fewer", where, router.top_k,
            router.top_groups, router.groups, router.experts / router.groups);
}

void check_heads(const GqaSpec& gqa, const std::string& where) {
    require(gqa.heads % gqa.kv_heads == 0, ExitCode::Checkpoint,
            "{}: {} query heads cannot share {} key and value heads evenly", where, gqa.heads, gqa.kv_heads);
}

// Real widths are below 2^17; up to this one, no count of elements or bytes overflows.
void check_width(const char* what, double width, const std::string& where) {
    constexpr double kWidest = 1 << 20;
    require(width <= kWidest, ExitCode::Checkpoint, "{}: {} is {:.0f} wide; at most {:.0f} is supported",
            where, what, width, kWidest);
}

void check_widths(const LayerSpec& layer, const std::string& where) {
    if (const auto* mla = std::get_if<MlaSpec>(&layer.attention)) {
        check_width("attention", 1.0 * mla->heads * (0.0 + mla->nope_dim + mla->rope_dim + mla->v_dim),
                    where);
        check_width("a latent", std::max(0.0 + mla->q_rank, 0.0 + mla->kv_rank + mla->rope_dim), where);
    }
    if (const auto* gqa = std::get_if<GqaSpec>(&layer.attention))
        check_width("attention", 1.0 * gqa->heads * gqa->head_dim, where);
    if (const auto* dense = std::get_if<DenseSpec>(&layer.feed_forward))
        check_width("the feed-forward block", dense->hidden, where);
    if (const auto* moe = std::get_if<MoeSpec>(&layer.feed_forward))
        check_width("an expert", std::max(moe->hidden, moe->shared_hidden), where);
}

void check_sizes(const ModelConfig& config, const std::string& where) {
    check_width("a layer", config.dim, where);
    require(config.rope.dim % 2 == 0, ExitCode::Checkpoint, "{}: the rotated width {} is odd", where,
            config.rope.dim);
    require(config.rope.theta > 1, ExitCode::Checkpoint, "{}: 'rope_theta' is {}; expected a number above 1",
            where, config.rope.theta);
    const auto usable = [](float factor) { return std::isfinite(factor) && factor > 0; };
    require(
        usable(config.rope.amplitude) && usable(config.attention_scale), ExitCode::Checkpoint,
        "{}: the rotary embedding's scaling comes to the amplitude {} and the attention scale {}; expected "
        "positive numbers: check 'factor', 'mscale' and 'mscale_all_dim'",
        where, config.rope.amplitude, config.attention_scale);
    std::int64_t experts = 0;
    for (const LayerSpec& layer : config.layers) {
        check_widths(layer, where);
        if (const auto* gqa = std::get_if<GqaSpec>(&layer.attention)) check_heads(*gqa, where);
        const auto* moe = std::get_if<MoeSpec>(&layer.feed_forward);
        if (moe == nullptr) continue;
        check_router(moe->router, where);
        experts += moe->router.experts;
    }
    constexpr std::int64_t kMostExperts = 100'000;  // each has its tensors in the catalog
    require(experts <= kMostExperts, ExitCode::Checkpoint,
            "{}: {} experts in all layers; at most {} are supported", where, experts, kMostExperts);
}

// Files of the models' makers have no model_type; their own keys tell them.
ModelConfig parse_any(const Keys& keys) {
    if (!keys.has("model_type")) {
        if (keys.has("n_layers") && keys.has("dim")) return parse_deepseek_own(keys);
        if (keys.has("model") && keys.has("output_multiplier_scale")) return parse_grok_own(keys);
    }
    std::string supported;
    for (const Family& family : kFamilies) {
        if (keys.text_or("model_type", "") == family.model_type) return family.parse(keys);
        supported += (supported.empty() ? "" : ", ") + std::string(family.model_type);
    }
    keys.refuse("model_type", supported);
}

}  // namespace

std::vector<LayerKind> layer_kinds(const ModelConfig& config) {
    std::vector<LayerKind> kinds;
    for (const LayerSpec& layer : config.layers) {
        const auto known =
            std::ranges::find_if(kinds, [&](const LayerKind& kind) { return kind.spec == layer; });
        if (known == kinds.end())
            kinds.push_back({layer, 1});
        else
            ++known->count;
    }
    return kinds;
}

std::string model_text(const ModelConfig& config) {
    const MoeSpec* moe = nullptr;
    int mixtures = 0;
    for (const LayerSpec& layer : config.layers) {
        const auto* found = std::get_if<MoeSpec>(&layer.feed_forward);
        if (found == nullptr) continue;
        moe = found;
        ++mixtures;
    }
    std::string text =
        fmt::format("{}: {} layers of width {}", config.family, config.layers.size(), config.dim);
    if (moe != nullptr)
        text += fmt::format(" ({} with {} experts, {} a token)", mixtures, moe->router.experts,
                            moe->router.top_k);
    return text + fmt::format(", vocabulary {}, {} positions", config.vocab, config.max_length);
}

ModelConfig parse_config(std::string_view json_text, const std::string& where) {
    const Json json = parse_json(json_text, where, ExitCode::Checkpoint);
    ModelConfig config = parse_any(Keys(json, where));
    check_sizes(config, where);
    return config;
}

}  // namespace sluice
