#include "kernel_suite.hpp"
#include "vocab_cases.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::test {
namespace {

using Vocab = KernelSuite<VocabArgs>;
using Call = VocabCall;

bool same(const VocabCandidate& a, const VocabCandidate& b) {
    return a.id == b.id && a.logit == b.logit && a.raw == b.raw;
}

// The logit of a token of a row, penalised.
float penalised(const Call& call, const VocabRow& row, std::int64_t id) {
    const float l = call.logits[static_cast<std::size_t>(row.row * call.width + id - call.first_id[0])];
    if (!std::ranges::binary_search(row.seen, id)) return l;
    return l > 0 ? l / row.repetition_penalty : l * row.repetition_penalty;
}

// That the drawn token is where the random number falls in the cumulated masses, but for `slack` of the sum.
void expect_drawn_by_inverse(const Call& call, std::size_t r, std::size_t s, double slack) {
    const VocabRow& row = call.rows[r];
    const VocabSummary& summary = call.summary(r, s);
    ASSERT_GE(summary.drawn, call.first_id[s]);
    ASSERT_LT(summary.drawn, call.first_id[s + 1]);
    double before = 0, here = 0, total = 0;
    for (std::int32_t id = call.first_id[s]; id < call.first_id[s + 1]; ++id) {
        const double mass =
            std::exp((static_cast<double>(penalised(call, row, id)) - summary.max) / row.temperature);
        if (id < summary.drawn) before += mass;
        if (id == summary.drawn) here = mass;
        total += mass;
    }
    const double u = uniform(row.draw_key, 1 + static_cast<std::uint64_t>(call.first_slice) + s);
    EXPECT_GT(here, 0);
    EXPECT_LE(before / total, u + slack);
    EXPECT_GE((before + here) / total, u - slack);
    EXPECT_EQ(summary.drawn_logit,
              call.logits[static_cast<std::size_t>(row.row * call.width + summary.drawn - call.first_id[0])]);
}

TEST_P(Vocab, AgreesWithTheReference) {
    for (const VocabCase& c : checked(vocab_cases())) {
        Call call(c);
        Call want = call;
        reference(want.args());
        run(call.args(), 2);
        for (std::size_t i = 0; i < call.candidates.size(); ++i) {
            ASSERT_TRUE(same(call.candidates[i], want.candidates[i])) << "candidate " << i;
        }
        for (std::size_t i = 0; i < call.top.size(); ++i) {
            ASSERT_TRUE(same(call.top[i], want.top[i])) << "most likely " << i;
        }
        for (std::size_t i = 0; i < call.summaries.size(); ++i) {
            const VocabSummary &a = call.summaries[i], &b = want.summaries[i];
            ASSERT_EQ(a.plain_max, b.plain_max);
            ASSERT_EQ(a.max, b.max);
            ASSERT_EQ(a.finite, b.finite);
            ASSERT_EQ(a.target_logit, b.target_logit);
            // An exponent of at most 88 rounded twice, the exponential, 64 partial sums of 16 terms at most.
            const double bound = 256 * kUnit;
            ASSERT_NEAR(a.plain_sum, b.plain_sum, bound * b.plain_sum);
            ASSERT_NEAR(a.sum, b.sum, bound * b.sum);
            const std::size_t r = i / call.slices(), s = i % call.slices();
            if (b.sum > 0)
                expect_drawn_by_inverse(call, r, s, 2 * bound);
            else
                ASSERT_EQ(a.drawn, -1);
        }
    }
}

// A penalty moves the candidates, but neither the most likely tokens nor the target's logit.
TEST_P(Vocab, MostLikelyTokensAndTargetsAreTheModelsOwn) {
    Call call;
    call.logits = {1, 9, 3, 8, 8, 2, -INFINITY, 7};
    call.width = 8;
    call.first_id = {0, 5, 8};
    call.max_candidates = 2;
    call.max_top = 4;
    const std::vector<std::int32_t> seen = {1, 3, 7};
    call.rows = {{0, 1, 10, seen, 2, 5, 3, 3}, {0, 1, 1, {}, 2, 5, 9, 6}};
    run(call.args());
    EXPECT_EQ(call.best(0, 0)[0].id, 4) << "the penalty is felt";
    const auto expect_top = [&](std::size_t row, std::size_t slice,
                                const std::vector<std::pair<int, float>>& want) {
        for (std::size_t i = 0; i < 4; ++i) {
            const VocabCandidate& token = call.likeliest(row, slice)[i];
            EXPECT_EQ(token.id, i < want.size() ? want[i].first : -1) << row << " " << slice << " " << i;
            if (i >= want.size()) continue;
            EXPECT_EQ(token.raw, want[i].second);
            EXPECT_EQ(token.logit, want[i].second) << "ordered by the raw logit";
        }
    };
    expect_top(0, 0, {{1, 9.0F}, {3, 8.0F}, {4, 8.0F}});
    expect_top(0, 1, {{7, 7.0F}, {5, 2.0F}, {6, -INFINITY}});
    expect_top(1, 0, {{1, 9.0F}, {3, 8.0F}, {4, 8.0F}, {2, 3.0F}});
    EXPECT_EQ(call.summary(0, 0).target_logit, 8);
    EXPECT_EQ(call.summary(0, 1).target_logit, -INFINITY) << "of another slice";
    EXPECT_EQ(call.summary(1, 0).target_logit, -INFINITY);
    EXPECT_EQ(call.summary(1, 1).target_logit, -INFINITY) << "its own logit";
}

TEST_P(Vocab, SlicesInOneCallAreAsSlicesAlone) {
    const std::vector<std::int32_t> cut = {0, 300, 700, 1000, 1290};
    Call whole = random_call(1290, cut, 77);
    run(whole.args(), 2);
    for (std::size_t s = 0; s < 4; ++s) {
        Call alone = whole;
        alone.first_id = {cut[s], cut[s + 1]};
        alone.first_slice = static_cast<int>(s);
        alone.max_candidates = 31;  // does not change what was asked for
        alone.logits.erase(alone.logits.begin(), alone.logits.begin() + cut[s]);
        run(alone.args());
        for (std::size_t r = 0; r < whole.rows.size(); ++r) {
            const VocabSummary &a = whole.summary(r, s), &b = alone.summary(r, 0);
            EXPECT_EQ(a.drawn, b.drawn);
            EXPECT_EQ(a.drawn_logit, b.drawn_logit);
            EXPECT_EQ(a.sum, b.sum);
            EXPECT_EQ(a.plain_sum, b.plain_sum);
            EXPECT_EQ(a.target_logit, b.target_logit);
            for (int c = 0; c < std::min(20, whole.rows[r].candidates); ++c) {
                EXPECT_TRUE(same(whole.best(r, s)[c], alone.best(r, 0)[c]));
            }
            for (int c = 0; c < whole.max_top; ++c)
                EXPECT_TRUE(same(whole.likeliest(r, s)[c], alone.likeliest(r, 0)[c]));
            EXPECT_EQ(alone.best(r, 0)[30].id, -1);
        }
    }
}

TEST_P(Vocab, RowsThreadsAndCandidatesDoNotMatter) {
    Call one = random_call(20000, {0, 9000, 20000}, 5), three = one;
    run(one.args(), 1);
    run(three.args(), 3);
    for (std::size_t r = 0; r < one.rows.size(); ++r) {
        Call alone = one;
        alone.rows = {one.rows[r]};
        alone.rows[0].candidates = 1;
        run(alone.args());
        for (std::size_t s = 0; s < 2; ++s) {
            for (const Call* other : {&three, &alone}) {
                const VocabSummary& a = one.summary(r, s);
                const VocabSummary& b = other->summary(other == &three ? r : 0, s);
                EXPECT_EQ(a.drawn, b.drawn);
                EXPECT_EQ(a.sum, b.sum);
                EXPECT_EQ(a.plain_sum, b.plain_sum);
            }
            EXPECT_TRUE(same(one.best(r, s)[0], alone.best(0, s)[0]));
        }
    }
}

TEST_P(Vocab, DrawsWithTheirProbabilities) {
    Call call;
    const std::vector<double> probability = {0.3, 0.02, 0.2, 0, 0.1, 0.18, 0.15, 0.05};
    for (const double p : probability) call.logits.push_back(static_cast<float>(2 * std::log(p)));
    call.width = 8;
    call.first_id = {0, 8};
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
        call.rows.push_back({0, 2, 1, {}, 1, draw_key(99, static_cast<std::uint64_t>(i))});
    }
    run(call.args());
    std::vector<int> count(8);
    for (const VocabSummary& summary : call.summaries) ++count.at(static_cast<std::size_t>(summary.drawn));
    EXPECT_EQ(count[3], 0);
    double statistic = 0;
    for (std::size_t id = 0; id < 8; ++id) {
        const double want = kDraws * probability[id];
        if (want > 0) statistic += (count[id] - want) * (count[id] - want) / want;
    }
    EXPECT_LT(statistic, 22.46);  // 6 degrees of freedom, one chance in a thousand
}

// Far from any border between two tokens the rounding of sums decides nothing.
TEST_P(Vocab, DrawsTheReferencesTokens) {
    Call call = random_call(20000, {0, 9000, 20000}, 11, 24);
    Call want = call;
    reference(want.args());
    run(call.args(), 2);
    for (std::size_t i = 0; i < call.summaries.size(); ++i) {
        EXPECT_EQ(call.summaries[i].drawn, want.summaries[i].drawn) << i;
        EXPECT_EQ(call.summaries[i].drawn_logit, want.summaries[i].drawn_logit) << i;
    }
}

// Lists as long as they get, of logits of which ever more are among the best, that are all alike, and that
// are no numbers.
TEST_P(Vocab, ListsManyTokensOfAnyLogits) {
    constexpr std::int32_t kWidth = 12000;
    const std::vector<std::int32_t> seen = {3, 700, 701, 8000, kWidth - 1};
    Call call;
    call.width = kWidth;
    call.first_id = {0, 200, kWidth};
    call.max_candidates = 700;
    call.max_top = 500;
    for (std::int32_t id = 0; id < kWidth; ++id) call.logits.push_back(static_cast<float>(id) / 64);
    call.logits.insert(call.logits.end(), kWidth, -1.5F);
    for (std::int32_t id = 0; id < kWidth; ++id)
        call.logits.push_back(id % 3 == 0 ? static_cast<float>(NAN) : static_cast<float>(-id % 50));
    for (std::int32_t row = 0; row < 3; ++row) {
        call.rows.push_back({row, 1, 1.5F, seen, 700, 5, 500, -1});
        call.rows.push_back({row, 1, 0.5F, seen, 64, 5, 0, -1});
    }
    Call want = call;
    reference(want.args());
    run(call.args(), 2);
    const auto ids = [](const std::vector<VocabCandidate>& tokens) {
        std::vector<std::int32_t> all;
        for (const VocabCandidate& token : tokens) all.push_back(token.id);
        return all;
    };
    EXPECT_EQ(ids(call.candidates), ids(want.candidates));
    EXPECT_EQ(ids(call.top), ids(want.top));
}

// The largest random numbers among many must still find a token, whatever rounding does to the sums.
TEST_P(Vocab, FindsATokenForEveryRandomNumber) {
    const std::int64_t width = 700;
    std::uint64_t greatest = 0, least = 0;
    for (std::uint64_t key = 0; key < 1000000; ++key) {
        if (uniform(key, 1) > uniform(greatest, 1)) greatest = key;
        if (uniform(key, 1) < uniform(least, 1)) least = key;
    }
    Call call;
    call.logits = Noise(1).vector(width, 1e-3F);
    for (std::size_t i = 690; i < 700; ++i) call.logits[i] = -INFINITY;  // the last that weighs is 689
    call.logits[0] = -1e30F;
    call.width = width;
    call.first_id = {0, static_cast<std::int32_t>(width)};
    call.rows = {{0, 1, 1, {}, 1, greatest}, {0, 1, 1, {}, 1, least}};
    run(call.args());
    EXPECT_EQ(call.summaries[0].drawn, 689);
    EXPECT_EQ(call.summaries[1].drawn, 1);
}

TEST_P(Vocab, SaysWhenALogitIsNotFinite) {
    for (const float bad : {static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
        for (const std::size_t place : {0UL, 15UL, 300UL, 599UL}) {
            Call call;
            call.logits = Noise(4).vector(1200);
            call.logits[place] = bad;
            call.width = 600;
            call.first_id = {0, 600};
            call.max_candidates = 3;
            call.rows = {{0, 1, 1, {}, 3, 5}, {1, 1, 1, {}, 3, 5}};
            run(call.args());
            EXPECT_EQ(call.summaries[0].finite, 0);
            EXPECT_EQ(call.summaries[1].finite, 1);
        }
    }
}

TEST_P(Vocab, ASliceOfNothingButMinusInfinityWeighsNothing) {
    Call call;
    call.logits.assign(300, -INFINITY);
    call.width = 300;
    call.first_id = {0, 300};
    call.max_candidates = 2;
    call.rows = {{0, 1, 1, {}, 2, 5}};
    run(call.args());
    EXPECT_EQ(call.summaries[0].sum, 0);
    EXPECT_EQ(call.summaries[0].plain_sum, 0);
    EXPECT_EQ(call.summaries[0].drawn, -1);
    EXPECT_EQ(call.summaries[0].finite, 1);
    EXPECT_EQ(call.candidates[0].id, 0);
    EXPECT_EQ(call.candidates[1].id, 1);
}

TEST_P(Vocab, TakesNoRows) {
    Call call;
    call.first_id = {0, 10};
    run(call.args());
}

SLUICE_EVERY_KERNEL(Vocab, VocabArgs);

}  // namespace
}  // namespace sluice::test
