// How many parameters a model has.
#pragma once

#include "model/config.hpp"

#include <cstdint>

namespace sluice {

struct ParameterCount {
    std::uint64_t total =
        0;  // all that the catalog lists: no multi-token-prediction layers, a tied head once
    std::uint64_t active = 0;  // that one token multiplies with
};

// Active is all but the experts that a token does not choose and the embedding, of which a token reads one
// row, unless it is the output matrix, too. The models' makers count within 3 % of this, not all alike.
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace sluice
