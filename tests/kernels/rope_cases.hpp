#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

#include <cmath>

namespace sluice::test {

struct RopeCase {
    std::int64_t rows = 3, heads = 3, dim = 0;
    bool interleaved = true;
    std::int64_t gap = 4;  // unrotated elements from one head to the next
    std::int64_t positions = 20;
    bool large = false;
    std::int64_t elements() const { return rows * heads * dim; }
    std::string name() const {
        return fmt::format("{}x{}x{},{}", rows, heads, dim, interleaved ? "interleaved" : "halves");
    }
};

inline std::vector<RopeCase> rope_cases() {
    std::vector<RopeCase> cases;
    for (const std::int64_t dim : {2, 6, 8, 24, 32, 64, 66, 128}) {
        for (const bool interleaved : {false, true})
            cases.push_back({.dim = dim, .interleaved = interleaved});
    }
    // Queries of DeepSeek-V3 and V2-Lite, Llama-3.1-8B and Grok-1.
    for (const std::int64_t heads : {128, 16})
        add_steps(cases, {.heads = heads, .dim = 64, .gap = 128, .positions = 256});
    for (const std::int64_t heads : {32, 48})
        add_steps(cases, {.heads = heads, .dim = 128, .interleaved = false, .gap = 0, .positions = 256});
    return cases;
}

inline double rope_angle(std::int64_t position, std::int64_t pair, std::int64_t dim) {
    return static_cast<double>(position) *
           std::pow(100.0, -2.0 * static_cast<double>(pair) / static_cast<double>(dim));
}

// Cosines and sines, [positions, dim / 2, 2].
inline std::vector<float> rope_table(std::int64_t positions, std::int64_t dim) {
    std::vector<float> table;
    for (std::int64_t p = 0; p < positions; ++p) {
        for (std::int64_t i = 0; i < dim / 2; ++i) {
            table.push_back(static_cast<float>(std::cos(rope_angle(p, i, dim))));
            table.push_back(static_cast<float>(std::sin(rope_angle(p, i, dim))));
        }
    }
    return table;
}

struct RopeCall {
    explicit RopeCall(const RopeCase& c)
        : size(c),
          head_stride(c.dim + c.gap),
          row_stride(c.heads * head_stride + (c.large ? 0 : 1)),
          out_stride(c.dim + (c.large ? 4 : 2)),
          positions({0, 19, 3}),
          table(rope_table(c.positions, c.dim)),
          x(Noise(9).vector(c.rows * row_stride)),
          out(c.rows * c.heads, c.dim, out_stride) {
        Noise noise(10);
        while (static_cast<std::int64_t>(positions.size()) < c.rows)
            positions.push_back(static_cast<std::int32_t>(noise.below(c.positions)));
    }
    RopeArgs args() {
        return {x.data(),  row_stride, head_stride, out.data(),       size.heads * out_stride, out_stride,
                size.rows, size.heads, size.dim,    size.interleaved, positions.data(),        table.data()};
    }

    RopeCase size;
    std::int64_t head_stride, row_stride, out_stride;
    std::vector<std::int32_t> positions;
    std::vector<float> table, x;
    Guarded<float> out;  // row r, head h is row r * heads + h
};

}  // namespace sluice::test
