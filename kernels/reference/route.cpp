#include "kernels/reference/run.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::reference {
namespace {

using Scores = std::vector<float>;

Scores scores_of(const float* logits, const RouterSpec& spec) {
    Scores scores(logits, logits + spec.experts);
    if (spec.score == RouterSpec::Score::Sigmoid) {
        for (float& score : scores) score = 1.0F / (1.0F + std::exp(-score));
        return scores;
    }
    const float best = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (float& score : scores) sum += score = std::exp(score - best);
    for (float& score : scores) score = static_cast<float>(score / sum);
    return scores;
}

// The indices of the `count` best keys among those allowed, best first; ties to the lower index.
std::vector<int> best_of(const Scores& keys, std::vector<int> allowed, int count) {
    std::stable_sort(allowed.begin(), allowed.end(), [&](int a, int b) {
        return keys[static_cast<std::size_t>(a)] > keys[static_cast<std::size_t>(b)];
    });
    allowed.resize(static_cast<std::size_t>(count));
    return allowed;
}

std::vector<int> range(int begin, int end) {
    std::vector<int> all;
    for (int i = begin; i < end; ++i) all.push_back(i);
    return all;
}

// The experts of the best groups, ascending.
std::vector<int> candidates(const Scores& keys, const RouterSpec& spec, bool biased) {
    const int size = spec.experts / spec.groups;
    Scores group_keys;
    for (int g = 0; g < spec.groups; ++g) {
        const int summed = std::min(biased ? 2 : 1, size);
        float key = 0;
        for (const int e : best_of(keys, range(g * size, (g + 1) * size), summed)) {
            key += keys[static_cast<std::size_t>(e)];
        }
        group_keys.push_back(key);
    }
    std::vector<int> groups = best_of(group_keys, range(0, spec.groups), spec.top_groups);
    std::sort(groups.begin(), groups.end());
    std::vector<int> experts;
    for (const int g : groups) {
        for (int e = g * size; e < (g + 1) * size; ++e) experts.push_back(e);
    }
    return experts;
}

void route_row(const RouteArgs& args, std::int64_t r) {
    const RouterSpec& spec = args.spec;
    const Scores scores = scores_of(args.logits + r * spec.experts, spec);
    Scores keys = scores;
    for (int e = 0; e < spec.experts; ++e) {
        float& key = keys[static_cast<std::size_t>(e)];
        if (args.bias != nullptr) key += args.bias[e];
        if (std::isnan(key)) key = -INFINITY;  // last, whatever compares
    }
    std::vector<int> chosen = best_of(keys, candidates(keys, spec, args.bias != nullptr), spec.top_k);
    std::sort(chosen.begin(), chosen.end());
    float sum = 0;
    for (const int e : chosen) sum += scores[static_cast<std::size_t>(e)];
    const float divisor = spec.renormalize ? sum + 1e-20F : 1.0F;
    for (int k = 0; k < spec.top_k; ++k) {
        const int e = chosen[static_cast<std::size_t>(k)];
        args.expert[r * spec.top_k + k] = e;
        args.weight[r * spec.top_k + k] = scores[static_cast<std::size_t>(e)] / divisor * spec.scale;
    }
}

}  // namespace

void run_route(const RouteArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) route_row(args, r);
}

}  // namespace sluice::kernels::reference
