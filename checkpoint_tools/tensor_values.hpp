// A look at a tensor's values.
#pragma once

#include "checkpoint/source.hpp"

#include <cstdint>
#include <vector>

namespace sluice {

// Of the effective values, value times scale in float32. Infinities and NaNs are counted and left out of the
// rest.
struct ValueSummary {
    std::vector<float> first;  // up to 8
    float least = 0, greatest = 0;
    double sum = 0;
    std::int64_t count = 0, infinite = 0, nans = 0;

    double mean() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
    // As if both were one, whose first values are this one's.
    void add(const ValueSummary& other);
};

// Reads the tensor, a few MiB at a time, and compares its checksums: ExitCode::Checkpoint.
ValueSummary summarize(const SourceTensor& tensor);

}  // namespace sluice
