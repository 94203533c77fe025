#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct AddBiasCase {
    std::int64_t rows = 40, width = 0;
    bool large = false;
    std::int64_t elements() const { return rows * width; }
    std::string name() const { return fmt::format("{}x{}", rows, width); }
};

inline std::vector<AddBiasCase> add_bias_cases() {
    std::vector<AddBiasCase> cases;
    for (const std::int64_t width : {1, 15, 16, 33, 2000}) cases.push_back({.width = width});
    for (const std::int64_t width : kStreamWidths) add_steps(cases, {.width = width});
    return cases;
}

struct AddBiasCall {
    explicit AddBiasCall(const AddBiasCase& c)
        : rows(c.rows),
          width(c.width),
          stride(c.width + (c.large ? 4 : 3)),
          noise(static_cast<std::uint64_t>(width)),
          before(noise.vector(rows * width)),
          bias(noise.vector(width)),
          x(rows, width, stride) {
        for (std::int64_t i = 0; i < rows * width; ++i)
            x.data()[i / width * stride + i % width] = before[static_cast<std::size_t>(i)];
    }
    BiasArgs args() { return {bias.data(), x.data(), stride, rows, width}; }

    std::int64_t rows, width, stride;
    Noise noise;
    std::vector<float> before, bias;
    Guarded<float> x;
};

}  // namespace sluice::test
