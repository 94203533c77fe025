// A look at a tensor's values.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"

#include <cstdint>
#include <vector>

namespace sluice {

// Of the effective values, value times scale; NaNs are counted and left out of the rest.
struct ValueSummary {
    std::vector<float> first;  // up to 8
    float least = 0, greatest = 0;
    double mean = 0;
    std::int64_t count = 0, nans = 0;
};

ValueSummary summarize(const TensorSlice& slice);
ValueSummary summarize(const SourceTensor& tensor);

}  // namespace sluice
