// What the operations' case lists (OP_cases.hpp) share. A list names the sizes that an operation is run at:
// small ones with odd ends, and large ones, as models have them. The suite checks the small ones and those of
// the large ones that are quick; the benchmark times the large ones.
//
// Rows of the large ones lie on multiples of four elements, as a model's do; those of small ones do not.
// A case has `rows`, `large`, a name() and the elements() of its output. Its call owns what args() borrows.
#pragma once

#include "kernels/args.hpp"
#include "kernels/random.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

using namespace sluice::kernels;

// Reproducible numbers, the same on every machine.
class Noise {
public:
    explicit Noise(std::uint64_t seed) : key_(mix64(seed)) {}
    float operator()(float scale = 1) {  // in [-scale, scale)
        return scale * static_cast<float>(2 * uniform(key_, count_++) - 1);
    }
    std::int64_t below(std::int64_t n) {
        return static_cast<std::int64_t>(uniform(key_, count_++) * static_cast<double>(n));
    }
    std::vector<float> vector(std::int64_t n, float scale = 1) {
        std::vector<float> values(static_cast<std::size_t>(n));
        for (float& value : values) value = (*this)(scale);
        return values;
    }

private:
    std::uint64_t key_, count_ = 0;
};

// Widths of the residual streams of DeepSeek-V3, Grok-1, Llama-3.1-8B and DeepSeek-V2-Lite.
inline constexpr std::int64_t kStreamWidths[] = {7168, 6144, 4096, 2048};

// Adds the case with the rows of a step: a conversation's, a small batch's, a large one's, prompts'.
template <class Case>
void add_steps(std::vector<Case>& cases, Case each) {
    each.large = true;
    for (const std::int64_t rows : {1, 16, 64, 512}) {
        each.rows = rows;
        cases.push_back(each);
    }
}

// The cases that the suite checks.
template <class Case>
std::vector<Case> checked(std::vector<Case> cases) {
    constexpr std::int64_t kQuick = 1 << 17;
    std::erase_if(cases, [](const Case& c) { return c.large && c.elements() > kQuick; });
    return cases;
}

}  // namespace sluice::test
