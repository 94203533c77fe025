#include "checkpoint/hf_names.hpp"

#include "core/error.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace sluice {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 3> kOutside{
    {{"/embed", "model.embed_tokens.weight"}, {"/norm", "model.norm.weight"}, {"/head", "lm_head.weight"}}};

// After "/layers/N/" -> after "model.layers.N.".
constexpr std::array<Pair, 15> kInLayer{{{"attention_norm", "input_layernorm.weight"},
                                         {"ffn_norm", "post_attention_layernorm.weight"},
                                         {"attention/q", "self_attn.q_proj.weight"},
                                         {"attention/q_a", "self_attn.q_a_proj.weight"},
                                         {"attention/q_a_norm", "self_attn.q_a_layernorm.weight"},
                                         {"attention/q_b", "self_attn.q_b_proj.weight"},
                                         {"attention/kv_a", "self_attn.kv_a_proj_with_mqa.weight"},
                                         {"attention/kv_a_norm", "self_attn.kv_a_layernorm.weight"},
                                         {"attention/kv_b", "self_attn.kv_b_proj.weight"},
                                         {"attention/o", "self_attn.o_proj.weight"},
                                         {"router", "mlp.gate.weight"},
                                         {"router_bias", "mlp.gate.e_score_correction_bias"},
                                         {"ffn/gate", "mlp.gate_proj.weight"},
                                         {"ffn/up", "mlp.up_proj.weight"},
                                         {"ffn/down", "mlp.down_proj.weight"}}};

template <std::size_t N>
std::string_view look_up(const std::array<Pair, N>& table, std::string_view key) {
    for (const auto& [ours, theirs] : table)
        if (ours == key) return theirs;
    return {};
}

// Takes "123<separator>" off the front of `text`; -1 where there is no such number.
int take_number(std::string_view& text, char separator) {
    int number = -1;
    const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || rest == text.data() + text.size() || *rest != separator) return -1;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
    return number;
}

std::string in_layer(std::string_view rest) {
    constexpr std::string_view kExperts = "experts/";
    constexpr std::string_view kShared = "shared/";
    if (rest.starts_with(kShared))
        return fmt::format("mlp.shared_experts.{}_proj.weight", rest.substr(kShared.size()));
    if (rest.starts_with(kExperts)) {
        rest.remove_prefix(kExperts.size());
        const int expert = take_number(rest, '/');
        return fmt::format("mlp.experts.{}.{}_proj.weight", expert, rest);
    }
    return std::string(look_up(kInLayer, rest));
}

}  // namespace

std::string hugging_face_name(const TensorSpec& tensor) {
    constexpr std::string_view kLayers = "/layers/";
    std::string_view rest = tensor.name;
    if (!rest.starts_with(kLayers)) {
        const std::string_view name = look_up(kOutside, rest);
        expect(!name.empty(), "tensor {} has no name in Hugging Face's layout", tensor.name);
        return std::string(name);
    }
    rest.remove_prefix(kLayers.size());
    const int layer = take_number(rest, '/');
    const std::string name = in_layer(rest);
    expect(layer >= 0 && !name.empty(), "tensor {} has no name in Hugging Face's layout", tensor.name);
    return fmt::format("model.layers.{}.{}", layer, name);
}

std::string hugging_face_scale_name(std::string_view weight_name) {
    return fmt::format("{}_scale_inv", weight_name);
}

bool is_left_alone(std::string_view name, const ModelConfig& config) {
    constexpr std::string_view kLayers = "model.layers.";
    if (name.ends_with(".rotary_emb.inv_freq")) return true;
    if (!name.starts_with(kLayers)) return false;
    name.remove_prefix(kLayers.size());
    const int layer = take_number(name, '.');
    const auto layers = static_cast<int>(config.layers.size());
    return layer >= layers && layer < layers + config.mtp_layers;
}

}  // namespace sluice
