#include "kernel_suite.hpp"
#include "route_cases.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Route = KernelSuite<RouteArgs>;

// The definition, said by counting: something is among the best n when fewer than n others beat it.
class Oracle {
public:
    Oracle(const RouterSpec& spec, const float* logits, const float* bias) : spec_(spec) {
        double sum = 0;
        float best = logits[0];
        for (int e = 0; e < spec.experts; ++e) best = std::max(best, logits[e]);
        for (int e = 0; e < spec.experts; ++e) sum += std::exp(logits[e] - best);
        for (int e = 0; e < spec.experts; ++e) {
            const bool softmax = spec.score == RouterSpec::Score::Softmax;
            scores_.push_back(softmax ? static_cast<float>(std::exp(logits[e] - best) / sum)
                                      : 1.0F / (1.0F + std::exp(-logits[e])));
            keys_.push_back(bias == nullptr ? scores_.back() : scores_.back() + bias[e]);
        }
        const int size = spec.experts / spec.groups;
        for (int g = 0; g < spec.groups; ++g) {
            std::vector<float> keys(keys_.begin() + g * size, keys_.begin() + (g + 1) * size);
            std::sort(keys.rbegin(), keys.rend());
            group_keys_.push_back(bias != nullptr && size > 1 ? keys[0] + keys[1] : keys[0]);
        }
        for (int e = 0; e < spec.experts; ++e) chosen_.push_back(is_best(e));
    }

    bool chosen(int expert) const { return chosen_[at(expert)]; }
    double weight(int expert) const {
        double sum = 0;
        for (int e = 0; e < spec_.experts; ++e) sum += chosen(e) ? scores_[at(e)] : 0.0F;
        return scores_[at(expert)] / (spec_.renormalize ? sum : 1) * spec_.scale;
    }

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    static bool beats(const std::vector<float>& keys, int a, int b) {
        return keys[at(a)] > keys[at(b)] || (keys[at(a)] == keys[at(b)] && a < b);
    }
    bool is_best(int expert) const {
        if (!open(expert)) return false;
        int better = 0;
        for (int e = 0; e < spec_.experts; ++e) better += open(e) && beats(keys_, e, expert);
        return better < spec_.top_k;
    }
    bool open(int expert) const {
        const int group = expert / (spec_.experts / spec_.groups);
        int better = 0;
        for (int g = 0; g < spec_.groups; ++g) better += beats(group_keys_, g, group);
        return better < spec_.top_groups;
    }

    RouterSpec spec_;
    std::vector<float> scores_, keys_, group_keys_;
    std::vector<bool> chosen_;
};

TEST_P(Route, AgreesWithTheDefinition) {
    for (const RouteCase& c : checked(route_cases())) {
        RouteCall call(c);
        const RouteArgs args = call.args();
        run(args, 2);
        call.expert.expect_untouched_around();
        call.weight.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            const Oracle oracle(c.spec, args.logits + r * c.spec.experts, args.bias);
            int k = 0;
            for (int e = 0; e < c.spec.experts; ++e) {
                if (!oracle.chosen(e)) continue;
                ASSERT_EQ(call.expert.at(r, k), e) << c.name() << ", row " << r << ", choice " << k;
                // The exponential, the sum of top_k terms, the quotient and the scale.
                const double want = oracle.weight(e);
                ASSERT_NEAR(call.weight.at(r, k), want, (c.spec.top_k + 6) * kUnit * want);
                ++k;
            }
            ASSERT_EQ(k, c.spec.top_k);
        }
    }
}

TEST_P(Route, RowsAndThreadsDoNotMatter) {
    const RouterSpec spec{RouterSpec::Score::Sigmoid, 64, 6, 8, 4, true, 2.5F};
    const std::int64_t rows = 100;
    Noise noise(8);
    const std::vector<float> logits = noise.vector(rows * 64, 5), bias = noise.vector(64);
    std::vector<std::int32_t> expert[3];
    std::vector<float> weight[3];
    for (int i = 0; i < 3; ++i) {
        expert[i].resize(rows * 6);
        weight[i].resize(rows * 6);
        if (i < 2) run({logits.data(), bias.data(), spec, rows, expert[i].data(), weight[i].data()}, i + 1);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
        run({logits.data() + r * 64, bias.data(), spec, 1, expert[2].data() + r * 6,
             weight[2].data() + r * 6});
    }
    for (int i = 1; i < 3; ++i) {
        EXPECT_TRUE(same_bits(expert[0], expert[i]));
        EXPECT_TRUE(same_bits(weight[0], weight[i]));
    }
}

TEST_P(Route, StrangeLogitsGiveDistinctExpertsInRange) {
    Noise noise(13);
    for (const RouterSpec& spec : router_specs()) {
        for (const float strange :
             {static_cast<float>(NAN), static_cast<float>(INFINITY), -INFINITY, 1e38F}) {
            for (int kind = 0; kind < 2; ++kind) {
                std::vector<float> logits = noise.vector(spec.experts);
                for (std::size_t e = 0; e < logits.size(); ++e) {
                    if (kind == 0 || e % 3 == 0) logits[e] = strange;
                }
                std::vector<std::int32_t> expert(static_cast<std::size_t>(spec.top_k));
                std::vector<float> weight(expert.size());
                run({logits.data(), nullptr, spec, 1, expert.data(), weight.data()});
                for (std::size_t k = 0; k < expert.size(); ++k) {
                    ASSERT_GT(expert[k], k == 0 ? -1 : expert[k - 1]);
                    ASSERT_LT(expert[k], spec.experts);
                }
            }
        }
    }
}

TEST_P(Route, TakesNoRows) {
    run({nullptr, nullptr, {RouterSpec::Score::Softmax, 8, 2}, 0, nullptr, nullptr});
}

SLUICE_EVERY_KERNEL(Route, RouteArgs);

}  // namespace
}  // namespace sluice::test
