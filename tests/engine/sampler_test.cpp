#include "engine/sampler.hpp"
#include "kernels/random.hpp"
#include "model/rank_sums.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace sluice {
namespace {

using kernels::VocabCandidate;

constexpr int kSlices = 4;

// Rows of logits over the whole vocabulary.
struct Rows {
    int vocabulary = 0;
    std::vector<std::vector<float>> logits;
};

Rows random_rows(int count, int vocabulary, float spread, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, spread);
    Rows rows{vocabulary, {}};
    for (int i = 0; i < count; ++i) {
        rows.logits.emplace_back();
        for (int id = 0; id < vocabulary; ++id) rows.logits.back().push_back(normal(random));
    }
    return rows;
}

// Picks on `ranks` ranks, each with its own columns; every rank must say the same.
std::vector<Pick> picks_on(int ranks, const Rows& rows, const std::vector<SampleRow>& wishes) {
    std::vector<std::vector<Pick>> all(static_cast<std::size_t>(ranks));
    run_on_threads(ranks, [&](Communicator& comm) {
        const Shard shard{comm.rank(), ranks, kSlices};
        const Range mine = shard.range(rows.vocabulary);
        std::vector<float> columns;
        for (const auto& row : rows.logits)
            columns.insert(columns.end(), row.begin() + mine.begin, row.begin() + mine.end);
        std::vector<std::int32_t> borders;
        for (int s = 0; s <= shard.count(); ++s) {
            borders.push_back(
                static_cast<std::int32_t>(part_of(rows.vocabulary, shard.first() + s, kSlices).begin));
        }
        const Ops ops(kernels::Family::Cpu, 1);
        const auto sums = make_rank_sums(ops, comm);
        Sampler sampler(ops, *sums, comm, shard, rows.vocabulary, borders);
        const auto count = static_cast<std::int64_t>(rows.logits.size());
        sampler.begin(dense_view(columns.data(), DType::F32, {count, mine.size()}), wishes);
        all[static_cast<std::size_t>(comm.rank())] = sampler.finish();
    });
    for (const auto& picks : all) {
        for (std::size_t i = 0; i < picks.size(); ++i) EXPECT_EQ(picks[i].token, all[0][i].token);
    }
    return all[0];
}

SampleRow wish(float temperature, std::uint64_t key = 0) {
    SampleRow row;
    row.choice.temperature = temperature;
    row.choice.draw_key = kernels::mix64(key);
    return row;
}

double log_probability(const std::vector<float>& logits, Token token) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return logits[static_cast<std::size_t>(token)] - std::log(sum);
}

TEST(Sampler, GreedyTakesTheBestAndTiesTheLowestId) {
    Rows rows = random_rows(3, 203, 2, 1);
    rows.logits[1][17] = rows.logits[1][150] = 50;
    rows.logits[2][202] = 50;
    const std::vector<SampleRow> wishes(3, wish(0));
    for (const int ranks : {1, 2, 4}) {
        const std::vector<Pick> picks = picks_on(ranks, rows, wishes);
        const auto best = std::ranges::max_element(rows.logits[0]) - rows.logits[0].begin();
        EXPECT_EQ(picks[0].token, best);
        EXPECT_EQ(picks[1].token, 17);
        EXPECT_EQ(picks[2].token, 202);
        for (std::size_t i = 0; i < 3; ++i) {
            EXPECT_NEAR(picks[i].logprob, log_probability(rows.logits[i], picks[i].token), 1e-5);
        }
    }
}

// Pearson's test: with 39 degrees of freedom the statistic exceeds 80 once in 10^4.
TEST(Sampler, DrawsFollowTheDistribution) {
    const Rows one = random_rows(1, 40, 1.5F, 2);
    constexpr int kDraws = 20000;
    constexpr float kTemperature = 0.8F;
    Rows rows{40, std::vector(kDraws, one.logits[0])};
    std::vector<SampleRow> wishes;
    for (int i = 0; i < kDraws; ++i) wishes.push_back(wish(kTemperature, static_cast<std::uint64_t>(i)));
    std::vector<double> counts(40);
    for (const Pick& pick : picks_on(1, rows, wishes)) counts[static_cast<std::size_t>(pick.token)] += 1;
    double total = 0;
    for (const float logit : one.logits[0]) total += std::exp(logit / kTemperature);
    double statistic = 0;
    for (std::size_t id = 0; id < 40; ++id) {
        const double wanted = kDraws * std::exp(one.logits[0][id] / kTemperature) / total;
        statistic += (counts[id] - wanted) * (counts[id] - wanted) / wanted;
    }
    EXPECT_LT(statistic, 80);
}

TEST(Sampler, TheSamePicksOnAnyNumberOfRanks) {
    // The last rows are nearly flat over 3000 tokens: top-p reaches beyond the candidates, and whole rows
    // travel.
    Rows rows = random_rows(12, 3000, 3, 3);
    for (std::size_t i = 8; i < 12; ++i) {
        for (float& logit : rows.logits[i]) logit *= 0.05F;
    }
    std::vector<SampleRow> wishes;
    for (std::size_t i = 0; i < 12; ++i) {
        SampleRow row = wish(i % 5 == 0 ? 0.0F : 0.9F, i);
        if (i % 4 == 1) row.choice.top_k = i < 6 ? 7 : 300;
        if (i % 4 == 2) row.choice.top_p = 0.95F;
        if (i % 4 == 3) row.choice.min_p = 0.02F;
        if (i % 2 == 1) {
            row.choice.repetition_penalty = 1.5F;
            row.seen = {1, 5, 700, 2999};
        }
        wishes.push_back(row);
    }
    const std::vector<Pick> expected = picks_on(1, rows, wishes);
    for (const int ranks : {2, 4}) {
        const std::vector<Pick> picks = picks_on(ranks, rows, wishes);
        for (std::size_t i = 0; i < picks.size(); ++i) {
            EXPECT_EQ(picks[i].token, expected[i].token) << "row " << i << " on " << ranks << " ranks";
            EXPECT_EQ(picks[i].logprob, expected[i].logprob) << "row " << i << " on " << ranks << " ranks";
        }
    }
}

// Every draw of a filtered row lies in the set worked out by sorting the whole row.
TEST(Sampler, FiltersKeepWhatTheirDefinitionsSay) {
    const Rows one = random_rows(1, 500, 2, 4);
    std::vector<std::pair<float, Token>> sorted;
    for (Token id = 0; id < 500; ++id) sorted.emplace_back(-one.logits[0][static_cast<std::size_t>(id)], id);
    std::ranges::sort(sorted);
    double total = 0;
    for (const auto& [negative, id] : sorted) total += std::exp(-negative);
    const auto drawn_set = [&](const Choice& choice) {
        constexpr int kDraws = 3000;
        Rows rows{500, std::vector(kDraws, one.logits[0])};
        std::vector<SampleRow> wishes(kDraws);
        for (int i = 0; i < kDraws; ++i) {
            wishes[static_cast<std::size_t>(i)].choice = choice;
            wishes[static_cast<std::size_t>(i)].choice.draw_key =
                kernels::mix64(static_cast<std::uint64_t>(i));
        }
        std::map<Token, int> counts;
        for (const Pick& pick : picks_on(1, rows, wishes)) ++counts[pick.token];
        return counts;
    };
    const auto expect_prefix = [&](const std::map<Token, int>& counts, std::size_t size) {
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            if (i >= size) {
                EXPECT_FALSE(counts.contains(sorted[i].second)) << "rank " << i;
            } else if (i < 5) {
                EXPECT_TRUE(counts.contains(sorted[i].second)) << "rank " << i;
            }
        }
    };
    Choice top_k;
    top_k.top_k = 6;
    expect_prefix(drawn_set(top_k), 6);
    Choice top_p;
    top_p.top_p = 0.5F;
    std::size_t kept = 0;
    for (double mass = 0; mass < 0.5 * total; ++kept) mass += std::exp(-sorted[kept].first);
    expect_prefix(drawn_set(top_p), kept);
    Choice min_p;
    min_p.min_p = 0.3F;
    kept = 0;
    while (std::exp(sorted[0].first - sorted[kept].first) >= 0.3) ++kept;
    expect_prefix(drawn_set(min_p), kept);
}

TEST(Sampler, PenaltyActsOnSeenTokensOnly) {
    Rows rows{8, {{3, 2.9F, -1, 0, 0, 0, 0, 0}, {-1, -1.1F, -9, -9, -9, -9, -9, -9}}};
    std::vector<SampleRow> wishes(2, wish(0));
    for (SampleRow& row : wishes) {
        row.choice.repetition_penalty = 2;
        row.seen = {0};
    }
    const std::vector<Pick> picks = picks_on(2, rows, wishes);
    EXPECT_EQ(picks[0].token, 1) << "a positive logit is divided";
    EXPECT_EQ(picks[1].token, 1) << "a negative logit is multiplied";
    EXPECT_NEAR(picks[0].logprob, log_probability(rows.logits[0], 1), 1e-5)
        << "log-probabilities are the model's own";
}

std::vector<std::pair<float, Token>> sorted_logits(const std::vector<float>& logits) {
    std::vector<std::pair<float, Token>> sorted;
    for (std::size_t id = 0; id < logits.size(); ++id)
        sorted.emplace_back(-logits[id], static_cast<Token>(id));
    std::ranges::sort(sorted);
    return sorted;
}

// Whatever a row asks for besides, its log-probabilities are the model's own, to the bit, on any ranks.
TEST(Sampler, LogprobsAreTheModelsOwn) {
    Rows rows = random_rows(6, 203, 2, 6);
    for (std::size_t i = 1; i < 6; ++i) rows.logits[i] = rows.logits[0];
    for (auto& row : rows.logits) row[7] = row[120] = 9;  // a tie, in two slices
    std::vector<SampleRow> wishes{wish(0), wish(1, 3), wish(0.3F, 5), wish(2, 1), wish(0), wish(0)};
    wishes[2].choice.top_p = 0.8F;
    wishes[3].choice.repetition_penalty = 3;
    wishes[3].seen = {7, 120};
    wishes[5].target = 55;
    for (std::size_t i = 0; i < 6; ++i) wishes[i].logprobs = i == 4 ? 0 : 3 + static_cast<int>(i);
    const auto sorted = sorted_logits(rows.logits[0]);
    for (const int ranks : {1, 2, 4}) {
        const std::vector<Pick> picks = picks_on(ranks, rows, wishes);
        EXPECT_TRUE(picks[4].top.empty());
        EXPECT_EQ(picks[5].token, 55);
        EXPECT_NEAR(picks[5].logprob, log_probability(rows.logits[0], 55), 1e-5);
        const std::vector<TokenLogprob>& longest = picks[5].top;
        for (std::size_t i = 0; i < 6; ++i) {
            const std::vector<TokenLogprob>& top = picks[i].top;
            ASSERT_EQ(top.size(), static_cast<std::size_t>(wishes[i].logprobs));
            for (std::size_t k = 0; k < top.size(); ++k) {
                EXPECT_EQ(top[k].token, sorted[k].second) << "row " << i << ", " << k;
                EXPECT_NEAR(top[k].logprob, log_probability(rows.logits[0], top[k].token), 1e-5);
                EXPECT_EQ(top[k].logprob, longest[k].logprob);
                if (top[k].token == picks[i].token) {
                    EXPECT_EQ(top[k].logprob, picks[i].logprob);
                }
            }
        }
    }
}

TEST(Sampler, TargetsAreScoredWhicheverSliceHoldsThem) {
    const Rows one = random_rows(1, 103, 3, 7);
    Rows rows{103, std::vector(103, one.logits[0])};
    for (auto& row : rows.logits) row[50] = -std::numeric_limits<float>::infinity();
    std::vector<SampleRow> wishes(103, wish(1));
    for (Token id = 0; id < 103; ++id) wishes[static_cast<std::size_t>(id)].target = id;
    const std::vector<Pick> expected = picks_on(1, rows, wishes);
    double total = 0;
    for (Token id = 0; id < 103; ++id) {
        const Pick& pick = expected[static_cast<std::size_t>(id)];
        EXPECT_EQ(pick.token, id);
        EXPECT_TRUE(pick.valid);
        total += std::exp(static_cast<double>(pick.logprob));
        if (id == 50) {
            EXPECT_EQ(pick.logprob, -std::numeric_limits<float>::infinity());
        } else {
            EXPECT_NEAR(pick.logprob, log_probability(rows.logits[0], id), 1e-5);
        }
    }
    EXPECT_NEAR(total, 1, 1e-5);
    for (const int ranks : {2, 4}) {
        const std::vector<Pick> picks = picks_on(ranks, rows, wishes);
        for (std::size_t i = 0; i < picks.size(); ++i) EXPECT_EQ(picks[i].logprob, expected[i].logprob);
    }
}

// More alternatives than tokens, in all or in a slice.
TEST(Sampler, NoMoreAlternativesThanTokens) {
    const Rows rows = random_rows(1, 9, 1, 8);
    SampleRow row = wish(0);
    row.logprobs = 20;
    const auto sorted = sorted_logits(rows.logits[0]);
    for (const int ranks : {1, 4}) {
        const std::vector<TokenLogprob> top = picks_on(ranks, rows, {row})[0].top;
        ASSERT_EQ(top.size(), 9U);
        for (std::size_t k = 0; k < 9; ++k) EXPECT_EQ(top[k].token, sorted[k].second);
    }
}

// Far below the largest logits, float32 log-probabilities lie wider apart than the logits did.
TEST(Sampler, EqualLogprobsComeInTheOrderOfIds) {
    Rows rows{8, {{1e-6F, 2e-6F, 3e-6F, 0, 90, 90, 0, 0}}};
    SampleRow row = wish(0);
    row.logprobs = 8;
    const std::vector<TokenLogprob> top = picks_on(2, rows, {row})[0].top;
    for (std::size_t k = 1; k < top.size(); ++k) {
        EXPECT_GE(top[k - 1].logprob, top[k].logprob);
        if (top[k - 1].logprob == top[k].logprob) {
            EXPECT_LT(top[k - 1].token, top[k].token);
        }
    }
    EXPECT_EQ(top[2].logprob, top[7].logprob) << "logits too far apart to tell anything";
}

TEST(Sampler, LogitsThatAreNoNumbersAreReported) {
    Rows rows = random_rows(5, 64, 1, 5);
    rows.logits[0][40] = std::numeric_limits<float>::quiet_NaN();
    rows.logits[1][3] = std::numeric_limits<float>::infinity();
    rows.logits[2][3] = -std::numeric_limits<float>::infinity();
    rows.logits[3][63] = std::numeric_limits<float>::quiet_NaN();
    rows.logits[4].assign(64, -std::numeric_limits<float>::infinity());
    SampleRow scored = wish(1);
    scored.target = 5;
    const std::vector<Pick> picks = picks_on(2, rows, {wish(0), wish(1), wish(1), scored, scored});
    EXPECT_FALSE(picks[0].valid);
    EXPECT_FALSE(picks[1].valid);
    EXPECT_TRUE(picks[2].valid) << "a forbidden token is no trouble";
    EXPECT_FALSE(picks[3].valid) << "the target's own logit is not all that counts";
    EXPECT_FALSE(picks[4].valid) << "nothing is possible";
}

TEST(PickFiltered, AsksForMoreWhenTheKnownCandidatesDoNotSettleIt) {
    const std::vector<VocabCandidate> two = {{4, 0, 0}, {9, 0, 0}};
    Choice choice;
    choice.top_p = 0.5F;
    EXPECT_EQ(pick_filtered(two, 10, false, choice), -1);
    EXPECT_GE(pick_filtered(two, 10, true, choice), 0);
    EXPECT_GE(pick_filtered(two, 3, false, choice), 0);
    choice = {};
    choice.top_k = 3;
    EXPECT_EQ(pick_filtered(two, 10, false, choice), -1);
    choice.top_k = 2;
    EXPECT_GE(pick_filtered(two, 10, false, choice), 0);
    choice = {};
    choice.min_p = 0.5F;
    EXPECT_EQ(pick_filtered(two, 10, false, choice), -1);
}

}  // namespace
}  // namespace sluice
