// Features of models that both configurations and kernels speak of.
#pragma once

#include <cstdint>

namespace sluice {

enum class Activation : std::uint8_t { Silu, GeluTanh };

// How a token's experts are chosen and weighted (DeepSeek-V3, arXiv:2412.19437, 2.1.2).
struct RouterSpec {
    enum class Score : std::uint8_t { Softmax, Sigmoid };
    Score score = Score::Softmax;
    int experts = 0, top_k = 1;
    int groups = 1, top_groups = 1;  // experts only from the best groups
    bool renormalize = false;        // weights divided by their sum
    float scale = 1;                 // of the weights, last
    bool operator==(const RouterSpec&) const = default;
};

}  // namespace sluice
