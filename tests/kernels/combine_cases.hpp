#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct CombineCase {
    std::int64_t rows = 4, dim = 0, top_k = 6;
    int slices = 1;
    bool with_base = true;
    bool large = false;
    std::int64_t elements() const { return rows * dim * slices; }
    std::string name() const {
        return fmt::format("{}x{},top{},slices:{}{}", rows, dim, top_k, slices, with_base ? ",base" : "");
    }
};

inline std::vector<CombineCase> combine_cases() {
    std::vector<CombineCase> cases;
    for (const int slices : {1, 2, 3, 5, 6, 7, 8, 16}) {
        for (const std::int64_t dim : {1, 16, 63, 64, 65, 200}) {
            for (const bool base : {false, true})
                cases.push_back({.dim = dim, .slices = slices, .with_base = base});
        }
    }
    // One rank of DeepSeek-V3 (all 8 slices), one of eight; DeepSeek-V2-Lite, Grok-1; a dense layer of Llama.
    add_steps(cases, {.dim = 7168, .top_k = 8, .slices = 8});
    add_steps(cases, {.dim = 7168, .top_k = 1, .slices = 1});
    add_steps(cases, {.dim = 2048, .top_k = 6, .slices = 4});
    add_steps(cases, {.dim = 6144, .top_k = 2, .slices = 8, .with_base = false});
    add_steps(cases, {.dim = 4096, .top_k = 0, .slices = 8});
    return cases;
}

// A router's choices, all of whose experts are local and cut in slices as evenly as may be.
struct CombineCall {
    explicit CombineCall(const CombineCase& c, std::uint64_t seed = 1) : size(c), out(c.rows, c.dim) {
        Noise noise(seed + static_cast<std::uint64_t>(c.dim));
        constexpr std::int64_t kExperts = 24;
        base = noise.vector(c.with_base ? c.slices * c.rows * c.dim : 0);
        expert_rows = noise.vector(c.rows * c.top_k * c.dim);
        weight = noise.vector(c.rows * c.top_k);
        for (std::int64_t i = 0; i < c.rows * c.top_k; ++i) {
            const std::int64_t r = i / c.top_k, j = i % c.top_k;
            const std::int64_t at = j * kExperts / c.top_k + noise.below(kExperts / c.top_k);
            expert.push_back(static_cast<std::int32_t>(at));
            place.push_back(static_cast<std::int32_t>(j * c.rows + r));
        }
        for (int s = 0; s <= c.slices; ++s)
            first.push_back(static_cast<std::int32_t>(kExperts * s / c.slices));
    }
    CombineArgs args() {
        return {size.rows,          size.dim,      size.slices,  size.with_base ? base.data() : nullptr,
                expert_rows.data(), expert.data(), place.data(), weight.data(),
                size.top_k,         first.data(),  out.data()};
    }

    CombineCase size;
    std::vector<float> base, expert_rows, weight;
    std::vector<std::int32_t> expert, place, first;
    Guarded<float> out;
};

}  // namespace sluice::test
