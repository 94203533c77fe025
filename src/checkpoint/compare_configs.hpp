// Whether two checkpoints' configurations describe the same model.
#pragma once

#include "model/config.hpp"

#include <string>

namespace sluice {

// What differs first, "rope theta is 10000, but 50000 in the source"; empty where nothing does. Left aside is
// what a conversion may change or the tensors tell: the quantisation, the number of layers for multi-token
// prediction, and the family, of which a model may have two.
std::string config_difference(const ModelConfig& found, const ModelConfig& expected);

}  // namespace sluice
