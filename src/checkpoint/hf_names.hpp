// The names that tensors have in checkpoints in Hugging Face's layout.
#pragma once

#include "model/catalog.hpp"

#include <string>
#include <string_view>

namespace sluice {

// "/layers/3/attention/q_b" -> "model.layers.3.self_attn.q_b_proj.weight".
std::string hugging_face_name(const TensorSpec& tensor);

// Of the block scales of a quantised weight.
std::string hugging_face_scale_name(std::string_view weight_name);

// A tensor that belongs to such checkpoints but not to generation: of a multi-token-prediction layer, or a
// table that can be computed.
bool is_left_alone(std::string_view name, const ModelConfig& config);

}  // namespace sluice
