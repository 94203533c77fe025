// What a Sluice checkpoint will hold, known before its first byte is written.
#pragma once

#include "checkpoint/layout.hpp"
#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice {

struct PlannedTensor {
    TensorSpec spec;
    DType dtype = DType::BF16;
    Block block;  // none: no scales
};

struct SluicePlan {
    int slices = 1;
    std::vector<PlannedTensor> tensors;
    std::string config_json;
    std::map<std::string, std::string> text_files;
    std::map<std::string, std::string> provenance;  // attributes of common.h5; not part of the id
};

// Of all parts with their scales.
std::uint64_t tensor_bytes(const SluicePlan& plan);

}  // namespace sluice
