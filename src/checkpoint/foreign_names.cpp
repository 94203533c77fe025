#include "checkpoint/foreign_names.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice {
namespace {

constexpr NamePair kLlamaOutside[] = {
    {"/embed", "model.embed_tokens.weight"}, {"/norm", "model.norm.weight"}, {"/head", "lm_head.weight"}};

constexpr NamePair kLlamaInside[] = {
    {"attention_norm", "input_layernorm.weight"},  {"ffn_norm", "post_attention_layernorm.weight"},
    {"attention/q", "self_attn.q_proj.weight"},    {"attention/k", "self_attn.k_proj.weight"},
    {"attention/v", "self_attn.v_proj.weight"},    {"attention/q_bias", "self_attn.q_proj.bias"},
    {"attention/k_bias", "self_attn.k_proj.bias"}, {"attention/v_bias", "self_attn.v_proj.bias"},
    {"attention/o", "self_attn.o_proj.weight"},    {"attention/o_bias", "self_attn.o_proj.bias"},
    {"ffn/gate", "mlp.gate_proj.weight"},          {"ffn/up", "mlp.up_proj.weight"},
    {"ffn/down", "mlp.down_proj.weight"}};
constexpr NameLayout kLlama{"model.layers.{}.", kLlamaOutside, kLlamaInside};

constexpr NamePair kMixtralInside[] = {{"router", "block_sparse_moe.gate.weight"},
                                       {"experts/{}/gate", "block_sparse_moe.experts.{}.w1.weight"},
                                       {"experts/{}/down", "block_sparse_moe.experts.{}.w2.weight"},
                                       {"experts/{}/up", "block_sparse_moe.experts.{}.w3.weight"}};
constexpr NameLayout kMixtral{kLlama.layer, {}, kMixtralInside, &kLlama};

constexpr NamePair kDeepseekInside[] = {{"attention/q_a", "self_attn.q_a_proj.weight"},
                                        {"attention/q_a_norm", "self_attn.q_a_layernorm.weight"},
                                        {"attention/q_b", "self_attn.q_b_proj.weight"},
                                        {"attention/kv_a", "self_attn.kv_a_proj_with_mqa.weight"},
                                        {"attention/kv_a_norm", "self_attn.kv_a_layernorm.weight"},
                                        {"attention/kv_b", "self_attn.kv_b_proj.weight"},
                                        {"router", "mlp.gate.weight"},
                                        {"router_bias", "mlp.gate.e_score_correction_bias"},
                                        {"experts/{}/gate", "mlp.experts.{}.gate_proj.weight"},
                                        {"experts/{}/up", "mlp.experts.{}.up_proj.weight"},
                                        {"experts/{}/down", "mlp.experts.{}.down_proj.weight"},
                                        {"shared/gate", "mlp.shared_experts.gate_proj.weight"},
                                        {"shared/up", "mlp.shared_experts.up_proj.weight"},
                                        {"shared/down", "mlp.shared_experts.down_proj.weight"},
                                        {"embed", "embed_tokens.weight"},
                                        {"embed_norm", "enorm.weight"},
                                        {"hidden_norm", "hnorm.weight"},
                                        {"join", "eh_proj.weight"},
                                        {"norm", "shared_head.norm.weight"},
                                        {"head", "shared_head.head.weight"}};
constexpr NameLayout kDeepseek{kLlama.layer, {}, kDeepseekInside, &kLlama};

// Grok-1 was ported twice, each time with names of its own.
constexpr NamePair kGrokOutside[] = {{"/norm", "model.norm.scale"}};
constexpr NamePair kGrokInside[] = {{"attention_norm", "pre_attn_norm.scale"},
                                    {"attention_post_norm", "post_attn_norm.scale"},
                                    {"ffn_norm", "pre_moe_norm.scale"},
                                    {"ffn_post_norm", "post_moe_norm.scale"},
                                    {"attention/q", "attn.q_proj.weight"},
                                    {"attention/k", "attn.k_proj.weight"},
                                    {"attention/v", "attn.v_proj.weight"},
                                    {"attention/o", "attn.o_proj.weight"},
                                    {"router", "moe_block.gate.weight"},
                                    {"experts/{}/gate", "moe_block.experts.{}.linear.weight"},
                                    {"experts/{}/up", "moe_block.experts.{}.linear_v.weight"},
                                    {"experts/{}/down", "moe_block.experts.{}.linear_1.weight"}};
constexpr NameLayout kGrok{kLlama.layer, kGrokOutside, kGrokInside, &kLlama};

constexpr NamePair kGrokOtherOutside[] = {{"/embed", "transformer.in_out_embed.weight"},
                                          {"/norm", "transformer.rms_norm.weight"},
                                          {"/head", "lm_head.weight"}};
constexpr NamePair kGrokOtherInside[] = {{"attention_norm", "rms_norm.weight"},
                                         {"attention_post_norm", "rms_norm_1.weight"},
                                         {"ffn_norm", "rms_norm_2.weight"},
                                         {"ffn_post_norm", "rms_norm_3.weight"},
                                         {"attention/q", "multi_head_attention.query.weight"},
                                         {"attention/k", "multi_head_attention.key.weight"},
                                         {"attention/v", "multi_head_attention.value.weight"},
                                         {"attention/o", "multi_head_attention.linear.weight"},
                                         {"router", "router.weight"},
                                         {"experts/{}/gate", "moe.{}.linear.weight"},
                                         {"experts/{}/up", "moe.{}.linear_v.weight"},
                                         {"experts/{}/down", "moe.{}.linear_1.weight"}};
constexpr NameLayout kGrokOther{"transformer.decoder_layer.{}.", kGrokOtherOutside, kGrokOtherInside};

constexpr NamePair kGrokReleaseOutside[] = {{"/embed", "language_model/in_out_embed/embeddings"},
                                            {"/norm", "language_model/rms_norm/scale"}};
constexpr NamePair kGrokReleaseInside[] = {{"attention_norm", "rms_norm/scale"},
                                           {"attention_post_norm", "rms_norm_1/scale"},
                                           {"ffn_norm", "rms_norm_2/scale"},
                                           {"ffn_post_norm", "rms_norm_3/scale"},
                                           {"attention/q", "multi_head_attention/query/w"},
                                           {"attention/k", "multi_head_attention/key/w"},
                                           {"attention/v", "multi_head_attention/value/w"},
                                           {"attention/o", "multi_head_attention/linear/w"},
                                           {"router", "router/w"},
                                           {"experts/{}/gate", "moe/linear/w"},
                                           {"experts/{}/up", "moe/linear_v/w"},
                                           {"experts/{}/down", "moe/linear_1/w"}};
constexpr NameLayout kGrokRelease{"transformer/decoder_layer_{}/", kGrokReleaseOutside, kGrokReleaseInside};

struct FamilyLayout {
    std::string_view family;
    const NameLayout* layout;
};
constexpr FamilyLayout kHuggingFace[] = {
    {"deepseek_v2", &kDeepseek}, {"deepseek_v3", &kDeepseek}, {"deepseek", &kDeepseek}, {"llama", &kLlama},
    {"mixtral", &kMixtral},      {"grok-1", &kGrok},          {"grok-1", &kGrokOther}};

// Takes "123<separator>" off the front of `text`; -1 where there is no such number.
int take_number(std::string_view& text, char separator) {
    int number = -1;
    const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || rest == text.data() + text.size() || *rest != separator) return -1;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
    return number;
}

// The pattern with the number in place of its "{}", where it has one.
std::string with_number(std::string_view pattern, int number) {
    const std::size_t at = pattern.find("{}");
    if (at == std::string_view::npos) return std::string(pattern);
    return fmt::format("{}{}{}", pattern.substr(0, at), number, pattern.substr(at + 2));
}

std::string_view find(const NameLayout& layout, std::span<const NamePair> NameLayout::*table,
                      std::string_view ours) {
    for (const NameLayout* at = &layout; at != nullptr; at = at->otherwise) {
        for (const NamePair& pair : at->*table)
            if (pair.ours == ours) return pair.theirs;
    }
    return {};
}

}  // namespace

std::string NameLayout::name_of(const TensorSpec& tensor) const {
    constexpr std::array<std::string_view, 2> kLayers{"/layers/", "/mtp/"};
    constexpr std::string_view kExperts = "experts/";
    std::string_view rest = tensor.name;
    const auto* const group =
        std::ranges::find_if(kLayers, [&](std::string_view start) { return rest.starts_with(start); });
    if (group == kLayers.end()) {
        const std::string_view name = find(*this, &NameLayout::outside, rest);
        expect(!name.empty(), "tensor {} has no name in this layout", tensor.name);
        return std::string(name);
    }
    rest.remove_prefix(group->size());
    const int number = take_number(rest, '/');
    std::string ours(rest);
    int expert = -1;
    if (rest.starts_with(kExperts)) {
        rest.remove_prefix(kExperts.size());
        expert = take_number(rest, '/');
        ours = fmt::format("experts/{{}}/{}", rest);
    }
    const std::string_view name = find(*this, &NameLayout::inside, ours);
    expect(number >= 0 && !name.empty(), "tensor {} has no name in this layout", tensor.name);
    return with_number(layer, number) + with_number(name, expert);
}

const NameLayout& hugging_face_layout(const ModelConfig& config,
                                      const std::function<bool(const std::string&)>& holds) {
    const NameLayout* first = nullptr;
    for (const FamilyLayout& candidate : kHuggingFace) {
        if (candidate.family != config.family) continue;
        if (first == nullptr) first = candidate.layout;
        if (holds(candidate.layout->name_of({"/embed", {}}))) return *candidate.layout;
    }
    expect(first != nullptr, "no names are known for models of family {}", config.family);
    return *first;
}

const NameLayout& usual_layout(const ModelConfig& config) {
    return hugging_face_layout(config, [](const std::string&) { return true; });
}

const NameLayout& grok_release_layout() { return kGrokRelease; }

std::string scale_name(std::string_view weight_name) { return fmt::format("{}_scale_inv", weight_name); }

bool is_left_alone(std::string_view name, const NameLayout& layout, const ModelConfig& config) {
    return name.ends_with(".rotary_emb.inv_freq") ||
           (config.tied_head && name == layout.name_of({"/head", {}}));
}

}  // namespace sluice
