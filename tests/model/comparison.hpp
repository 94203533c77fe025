// Two runs of the same text, compared as long as their routers agree.
#pragma once

#include "model/step.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::test {

// The experts that a run chose.
class Choices : public StepObserver {
public:
    void hidden(int, ConstView) override {}
    void routing(int, ConstView expert, ConstView) override {
        const auto* begin = expert.as<std::int32_t>();
        layers.emplace_back(begin, begin + expert.shape.elements());
        width = expert.shape[1];
    }
    std::vector<std::vector<std::int32_t>> layers;
    std::int64_t width = 1;
};

// The first position at which two runs chose different experts in any layer.
inline std::int64_t first_flip(const Choices& a, const Choices& b, std::int64_t tokens) {
    std::int64_t first = tokens;
    for (std::size_t layer = 0; layer < a.layers.size(); ++layer) {
        const auto [one, other] = std::ranges::mismatch(a.layers[layer], b.layers[layer]);
        if (one != a.layers[layer].end()) first = std::min(first, (one - a.layers[layer].begin()) / a.width);
    }
    return first;
}

// How far two runs' logits are apart.
struct Difference {
    double squares = 0, logit_squares = 0, largest = 0;
    std::int64_t values = 0;
};

inline void compare(std::span<const float> fast, std::span<const float> reference, Difference& total) {
    for (std::size_t i = 0; i < fast.size(); ++i) {
        const double difference = static_cast<double>(fast[i]) - reference[i];
        total.squares += difference * difference;
        total.logit_squares += static_cast<double>(reference[i]) * reference[i];
        total.largest = std::max(total.largest, std::abs(difference));
        ++total.values;
    }
}

}  // namespace sluice::test
