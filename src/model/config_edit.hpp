// Changes to a configuration file of any family. The rest of the text's keys stay, in their order.
#pragma once

#include "core/dtype.hpp"

#include <string>
#include <string_view>

namespace sluice {

// The texts given are such as parse_config accepts.

// The same model with another number of layers: its first ones, or more like its last.
std::string with_layers(std::string_view config_json, int layers);

// The same model with matrices in e4m3 with 128 x 128 blocks (F8E4M3), in int8 with one scale for each row
// (I8), or not quantised (BF16), however they were before. A configuration that says so already stays as it
// is, its block sizes and groups too.
std::string with_matrices(std::string_view config_json, DType dtype);

}  // namespace sluice
