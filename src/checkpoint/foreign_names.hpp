// The names that tensors have in foreign checkpoints: one table a layout.
#pragma once

#include "model/catalog.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

struct NamePair {
    std::string_view ours, theirs;
};

// Ours to theirs, for the tensors outside of layers and, after "/layers/N/" or "/mtp/N/", for those inside.
// "{}" stands for the layer's number in `layer`, for the expert's in `inside`.
struct NameLayout {
    std::string_view layer;  // what stands before the names inside, "model.layers.{}."
    std::span<const NamePair> outside, inside;
    const NameLayout* otherwise = nullptr;  // for names that are not here

    // ExitCode::Internal for a tensor without a name in the layout.
    std::string name_of(const TensorSpec& tensor) const;
};

// The layout, of those in use for the configuration's family, whose embedding the checkpoint `holds`; if
// none, the first.
const NameLayout& hugging_face_layout(const ModelConfig& config,
                                      const std::function<bool(const std::string&)>& holds);

// The first of those in use.
const NameLayout& usual_layout(const ModelConfig& config);

// The paths in the parameter tree of xAI's release of Grok-1. All experts of a layer are one leaf.
const NameLayout& grok_release_layout();

// Of the block scales of a quantised weight, in Hugging Face's layouts.
std::string scale_name(std::string_view weight_name);

// A tensor that belongs to such checkpoints but says nothing: a table that can be computed, or the output
// matrix where it is the embedding.
bool is_left_alone(std::string_view name, const NameLayout& layout, const ModelConfig& config);

}  // namespace sluice
