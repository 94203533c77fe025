// One forward step's worth of rows, as plain arrays: all that a rank needs to know.
#pragma once

#include "core/tensor.hpp"

#include <cstdint>
#include <vector>

namespace sluice {

// Rows of one sequence in a step: they take positions [context - rows, context).
struct StepSequence {
    std::int32_t first_row = 0, rows = 0, context = 0;
    std::int32_t first_page = 0;                // index into Step::pages; ceil(context / kPageTokens) of them
    std::int32_t first_masked = 0, masked = 0;  // of Step::masked
};

struct Step {
    std::vector<std::int32_t> tokens;     // [rows]
    std::vector<std::int32_t> positions;  // [rows]
    std::vector<std::int32_t>
        slots;  // [rows]: where the row goes in the KV cache: page * kPageTokens + place
    std::vector<StepSequence> sequences;
    std::vector<std::int32_t> pages;
    std::vector<std::int32_t> masked;      // positions of keys that attention must not see, ascending
    std::vector<std::int32_t> logit_rows;  // rows whose logits are wanted, ascending
    bool by_operation = false;             // neither recorded nor replayed, on no rank
};

// Watches a step from inside, in the operations' memory: for tests and debugging.
class StepObserver {
public:
    virtual ~StepObserver() = default;
    // The residual stream [rows, dim] entering layer `layer`; after the last layer, `layer` is their number.
    virtual void hidden(int layer, ConstView x) = 0;
    // Chosen experts I32 [rows, top_k], ascending, and their weights.
    virtual void routing(int layer, ConstView expert, ConstView weight) = 0;
};

}  // namespace sluice
