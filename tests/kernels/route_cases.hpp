#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct RouteCase {
    RouterSpec spec;
    bool biased = false;
    std::int64_t rows = 40;
    bool large = false;
    std::int64_t elements() const { return rows * spec.experts * spec.top_k; }
    std::string name() const {
        const bool softmax = spec.score == RouterSpec::Score::Softmax;
        return fmt::format("{}x{},{},top{},groups:{}of{}{}{}", rows, spec.experts,
                           softmax ? "softmax" : "sigmoid", spec.top_k, spec.top_groups, spec.groups,
                           biased ? ",bias" : "", spec.renormalize ? ",renormalized" : "");
    }
};

inline std::vector<RouterSpec> router_specs() {
    using Score = RouterSpec::Score;
    std::vector<RouterSpec> all;
    for (const Score score : {Score::Softmax, Score::Sigmoid}) {
        for (const bool renormalize : {false, true}) {
            all.push_back({score, 1, 1, 1, 1, renormalize, 1});
            all.push_back({score, 8, 2, 1, 1, renormalize, 1});
            all.push_back({score, 8, 3, 1, 1, renormalize, 2.5F});
            all.push_back({score, 16, 4, 4, 2, renormalize, 1});
            all.push_back({score, 16, 6, 8, 3, renormalize, 0.5F});
            all.push_back({score, 12, 5, 12, 5, renormalize, 1});  // groups of one
            all.push_back({score, 64, 6, 8, 4, renormalize, 16});
            all.push_back({score, 64, 64, 1, 1, renormalize, 1});
        }
    }
    return all;
}

inline std::vector<RouteCase> route_cases() {
    using Score = RouterSpec::Score;
    std::vector<RouteCase> cases;
    for (const RouterSpec& spec : router_specs()) {
        for (const bool biased : {false, true}) cases.push_back({.spec = spec, .biased = biased});
    }
    // DeepSeek-V3, DeepSeek-V2-Lite, Grok-1.
    add_steps(cases, {.spec = {Score::Sigmoid, 256, 8, 8, 4, true, 2.5F}, .biased = true});
    add_steps(cases, {.spec = {Score::Softmax, 64, 6, 1, 1, false, 1}});
    add_steps(cases, {.spec = {Score::Softmax, 8, 2, 1, 1, false, 1}});
    return cases;
}

// Small cases have few different logits and biases: many exact ties.
struct RouteCall {
    explicit RouteCall(const RouteCase& c)
        : size(c), expert(c.rows, c.spec.top_k), weight(c.rows, c.spec.top_k) {
        Noise noise(static_cast<std::uint64_t>(c.spec.experts));
        logits = noise.vector(c.rows * c.spec.experts, 4);
        if (!c.large) {
            for (float& logit : logits) logit = 0.5F * static_cast<float>(noise.below(9) - 4);
        }
        for (int e = 0; c.biased && e < c.spec.experts; ++e)
            bias.push_back(0.25F * static_cast<float>(noise.below(3)));
    }
    RouteArgs args() {
        return {logits.data(), size.biased ? bias.data() : nullptr, size.spec, size.rows, expert.data(),
                weight.data()};
    }

    RouteCase size;
    std::vector<float> logits, bias;
    Guarded<std::int32_t> expert;
    Guarded<float> weight;
};

}  // namespace sluice::test
