#include "attention_fixture.hpp"
#include "kernel_suite.hpp"
#include "support/guarded.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::test {
namespace {

class Attention : public AttentionSuite {};

class AttentionValues : public AttentionSuite {
protected:
    // Eight sequences in one call, each with the mask's keys masked, against the reference.
    void check(const Heads& heads, Mask mask) const;

    bool alike_ = false;  // queries are zero, so that all weights are one, which rounds to itself
};

void AttentionValues::check(const Heads& heads, Mask mask) const {
    struct Part {
        std::int64_t rows, context;
    };
    const std::vector<Part> parts = {{1, 1},  {1, 64},  {1, 65},   {7, 7},
                                     {0, 10}, {5, 130}, {66, 100}, {1, 200}};
    const std::vector<std::int32_t> masked = positions_of(mask, 150);
    Pages pages(heads, 20, 5);
    std::vector<std::vector<std::int32_t>> tables(parts.size());
    std::vector<SequenceRows> sequences;
    std::vector<float> q;
    std::int64_t rows = 0;
    for (std::size_t s = 0; s < parts.size(); ++s) {
        const Tokens tokens(heads, parts[s].context, s + 50);
        pages.store(tokens, 0, tokens.count, tables[s]);
        sequences.push_back({rows, parts[s].rows, parts[s].context, tables[s].data(), {}});
        if (s % 4 != 1) sequences.back().masked = masked;  // one of four has none
        const std::int64_t skipped = (tokens.count - parts[s].rows) * heads.heads * heads.key_dim;
        q.insert(q.end(), tokens.q.begin() + skipped, tokens.q.end());
        rows += parts[s].rows;
    }
    if (alike_) q.assign(q.size(), 0);
    const std::int64_t width = heads.heads * heads.value_dim;
    Guarded<float> out(rows, width), want(rows, width);
    AttentionArgs args = pages.args();
    args.q = q.data();
    args.sequences = sequences;
    args.out = want.data();
    reference(args);
    args.out = out.data();
    run(args, 2);
    out.expect_untouched_around();
    for (const SequenceRows& sequence : sequences) {
        for (std::int64_t r = sequence.first_row; r < sequence.first_row + sequence.rows; ++r) {
            for (std::int64_t i = 0; i < width; ++i) {
                const double rounding = alike_ ? 0 : weight_bound(static_cast<double>(want.at(r, i)));
                ASSERT_NEAR(out.at(r, i), want.at(r, i), attention_bound(heads, sequence.context) + rounding)
                    << "key_dim " << heads.key_dim << ", context " << sequence.context << ", row " << r;
            }
        }
    }
}

TEST_P(AttentionValues, AgreeWithAnOrdinarySoftmax) {
    for (const Heads& heads : taken(all_heads())) check(heads, Mask::None);
    for (const Heads& heads : taken(grouped_heads())) check(heads, Mask::None);
    for (const Heads& heads : taken({{2, 1, 576, 512, false},
                                     {2, 1, 576, 512, false, DType::F8E4M3, 0, 16},
                                     {4, 2, 192, 130, false}}))
        check(heads, Mask::None);
}

TEST_P(AttentionValues, AgreeWithTheMeanWhereAllKeysWeighAlike) {
    alike_ = true;
    for (const Heads& heads : taken(all_heads())) check(heads, Mask::None);
    for (const Heads& heads : taken(grouped_heads())) check(heads, Mask::Some);
}

TEST_P(AttentionValues, AgreeWithAnOrdinarySoftmaxUnderMasks) {
    for (const Heads& heads : taken({{4, 1, 80, 64, true},
                                     {6, 2, 24, 24, false, DType::F32, 5},
                                     {6, 2, 40, 24, false, DType::BF16, 5},
                                     {6, 2, 40, 24, false, DType::F8E4M3, 5}})) {
        for (const Mask mask : {Mask::First, Mask::FirstBlock, Mask::All, Mask::Some, Mask::AllButOne})
            check(heads, mask);
    }
}

class AttentionBits : public AttentionSuite {
protected:
    // The outputs of a sequence fed `chunk` tokens at a time; each call sees only what is stored by then.
    std::vector<float> feed(const Heads& heads, const Tokens& tokens, std::int64_t chunk, std::uint64_t order,
                            int threads) const {
        Pages pages(heads, 16, order);
        std::vector<std::int32_t> table;
        std::vector<float> out(static_cast<std::size_t>(tokens.count * heads.heads * heads.value_dim), NAN);
        for (std::int64_t begin = 0; begin < tokens.count; begin += chunk) {
            const std::int64_t end = std::min(begin + chunk, tokens.count);
            pages.store(tokens, begin, end, table);
            const SequenceRows rows{0, end - begin, end, table.data(), tokens.masked};
            AttentionArgs args = pages.args();
            args.q = tokens.q.data() + begin * heads.heads * heads.key_dim;
            args.sequences = {&rows, 1};
            args.out = out.data() + begin * heads.heads * heads.value_dim;
            run(args, threads);
        }
        return out;
    }
};

TEST_P(AttentionBits, ChunksPagesAndThreadsDoNotMatter) {
    for (const Heads& heads : taken(all_heads())) {
        const Tokens tokens(heads, heads.key_dim > 500 ? 140 : 270, 31);
        const std::vector<float> whole = feed(heads, tokens, 512, 0, 1);
        for (const float value : whole) ASSERT_TRUE(std::isfinite(value));
        for (const std::int64_t chunk : {1, 7, 64, 100, 512}) {
            if (kernel().family != Family::Cuda) {  // which has no threads
                EXPECT_TRUE(same_bits(whole, feed(heads, tokens, chunk, 3, 1))) << "chunk " << chunk;
            }
            EXPECT_TRUE(same_bits(whole, feed(heads, tokens, chunk, 4, 2))) << "chunk " << chunk;
        }
        EXPECT_TRUE(same_bits(whole, feed(heads, tokens, 512, 9, 3)));
    }
}

TEST_P(AttentionBits, MasksHoldInEveryChunk) {
    for (const Heads& heads : taken({{4, 1, 80, 64, true},
                                     {6, 2, 24, 24, false, DType::BF16, 30},
                                     {6, 2, 24, 24, false, DType::F8E4M3}})) {
        Tokens tokens(heads, 150, 32);
        const std::vector<float> plain = feed(heads, tokens, 512, 0, 1);
        for (const Mask mask : {Mask::First, Mask::FirstBlock, Mask::All, Mask::Some, Mask::AllButOne}) {
            tokens.masked = positions_of(mask, 150);
            const std::vector<float> whole = feed(heads, tokens, 512, 0, 1);
            EXPECT_FALSE(same_bits(plain, whole));
            for (const std::int64_t chunk : {1, 7, 64, 100})
                EXPECT_TRUE(same_bits(whole, feed(heads, tokens, chunk, 3, 2))) << "chunk " << chunk;
        }
    }
}

// A row that sees some key unmasked gives what it would give if the masked tokens were not there, however
// great their scores; the first rows, which see masked keys alone, give the mean of the values.
TEST_P(AttentionBits, MaskedKeysCountForNothing) {
    for (const Heads& heads :
         taken({{6, 2, 24, 24, false, DType::F32, 5}, {6, 2, 24, 24, false, DType::BF16, 5}})) {
        const std::int64_t q_width = heads.heads * heads.key_dim, width = heads.heads * heads.value_dim;
        Tokens tokens(heads, 150, 33);
        tokens.masked = positions_of(Mask::Some, 150);
        Tokens kept = tokens;
        kept.rows.clear();
        for (std::int32_t p = 0; p < 150; ++p) {
            float* row = tokens.rows.data() + p * tokens.width;
            if (!std::binary_search(tokens.masked.begin(), tokens.masked.end(), p))
                kept.rows.insert(kept.rows.end(), row, row + tokens.width);
            else
                for (std::int64_t i = 0; i < heads.kv_heads * heads.key_dim; ++i) row[i] *= 1e10F;
        }
        kept.count = static_cast<std::int64_t>(kept.rows.size()) / kept.width;
        kept.masked.clear();
        kept.q.assign(tokens.q.end() - kept.count * q_width,
                      tokens.q.end());  // the last row's query stays last
        const std::vector<float> out = feed(heads, tokens, 512, 0, 1), want = feed(heads, kept, 512, 0, 1);
        for (std::int64_t i = 1; i <= width; ++i) {
            const auto mean = static_cast<double>(*(want.end() - i));  // both runs round their weights
            ASSERT_NEAR(*(out.end() - i), mean, attention_bound(heads, 150) + 2 * weight_bound(mean));
        }
        for (std::int64_t i = 0; i < 4 * width; ++i) {
            const std::int64_t column =
                heads.kv_heads * heads.key_dim + i % width / heads.value_dim / 3 * 24 + i % 24;
            double mean = 0;
            for (std::int64_t p = 0; p <= i / width; ++p)
                mean += tokens.rows[static_cast<std::size_t>(p * tokens.width + column)];
            mean /= static_cast<double>(i / width + 1);
            ASSERT_NEAR(out[static_cast<std::size_t>(i)], mean, 8 * kUnit) << i;
        }
    }
}

TEST_P(AttentionBits, NeighboursInTheBatchDoNotMatter) {
    for (const Heads& heads : taken(all_heads())) {
        const std::int64_t count = 9, q_width = heads.heads * heads.key_dim;
        Pages pages(heads, 40, 2);
        std::vector<std::vector<std::int32_t>> tables(count);
        std::vector<SequenceRows> sequences;
        std::vector<float> q;
        for (std::int64_t s = 0; s < count; ++s) {
            const Tokens tokens(heads, 20 * s + 1, static_cast<std::uint64_t>(s));
            auto& table = tables[static_cast<std::size_t>(s)];
            pages.store(tokens, 0, tokens.count, table);
            sequences.push_back({s, 1, tokens.count, table.data(), {}});
            q.insert(q.end(), tokens.q.end() - q_width, tokens.q.end());
        }
        AttentionArgs args = pages.args();
        std::vector<float> batch(static_cast<std::size_t>(count * heads.heads * heads.value_dim)),
            alone = batch;
        args.q = q.data();
        args.sequences = sequences;
        args.out = batch.data();
        run(args, 2);
        args.out = alone.data();
        for (const SequenceRows& one : sequences) {
            args.sequences = {&one, 1};
            run(args);
        }
        EXPECT_TRUE(same_bits(batch, alone));
    }
}

// Rows on both sides of position 1024, where an implementation may begin another part of the sum: by
// themselves or together, with a short sequence beside them or not, in parts of their own or one after
// another.
TEST_P(AttentionBits, PartsOfLongContextsDoNotMatter) {
    for (const Heads& heads : taken({{3, 1, 576, 512, true},
                                     {3, 1, 576, 512, true, DType::F8E4M3, 0, 16},
                                     {8, 2, 64, 64, false, DType::BF16, 5, 8}})) {
        const std::int64_t count = 1028, rows = 8, width = heads.heads * heads.value_dim;
        const Tokens tokens(heads, count, 14), other(heads, 40, 15);
        Pages pages(heads, 18, 6);
        std::vector<std::int32_t> table, other_table;
        pages.store(tokens, 0, count, table);
        pages.store(other, 0, other.count, other_table);
        const std::int64_t q_width = heads.heads * heads.key_dim;
        std::vector<float> q(tokens.q.end() - rows * q_width, tokens.q.end());
        q.insert(q.end(), other.q.end() - q_width, other.q.end());
        AttentionArgs args = pages.args();
        std::vector<float> want(static_cast<std::size_t>((rows + 1) * width)), out;
        const auto attend = [&](const std::vector<SequenceRows>& sequences) {
            args.sequences = sequences;
            args.q = q.data();
            out.resize(want.size());
            args.out = out.data();
            run(args, 2);
        };
        const SequenceRows together{0, rows, count, table.data(), {}},
            beside{rows, 1, 40, other_table.data(), {}};
        const std::vector<SequenceRows> both = {beside, together};
        args.q = q.data();
        args.out = want.data();
        args.sequences = both;
        reference(args);
        attend(both);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const auto mean = static_cast<double>(want[i]);
            ASSERT_NEAR(out[i], mean, attention_bound(heads, count) + weight_bound(mean)) << i;
        }
        const std::vector<float> whole = out;
        for (const bool with_workspace : {true, false}) {
            with_workspace_ = with_workspace;
            attend({together});
            EXPECT_TRUE(same_bits(whole, out));
            for (std::int64_t r = 0; r < rows; ++r) attend({{r, 1, count - rows + r + 1, table.data(), {}}});
            EXPECT_TRUE(same_bits(whole, out));
            out.clear();
            attend(both);
            EXPECT_TRUE(same_bits(whole, out));
        }
    }
}

TEST_P(AttentionBits, LaterTokensAreNeverSeen) {
    for (const Heads& heads : taken(all_heads())) {
        const Tokens tokens(heads, 100, 8);
        const std::vector<float> clean = feed(heads, tokens, 512, 0, 1);
        for (const std::int64_t bad : {70, 71}) {  // either of a pair of positions
            for (const float poison : {NAN, INFINITY}) {
                if (std::isfinite(rounded(poison, heads.dtype))) continue;
                Tokens poisoned = tokens;
                for (std::int64_t i = 0; i < tokens.width; ++i)
                    poisoned.rows[static_cast<std::size_t>(bad * tokens.width + i)] = poison;
                std::vector<float> dirty = feed(heads, poisoned, 512, 0, 1);
                for (const std::int64_t row : {bad, bad + 28}) {
                    const std::int64_t at = row * heads.heads * heads.value_dim;
                    EXPECT_FALSE(std::isfinite(dirty[static_cast<std::size_t>(at)])) << row;
                }
                dirty.resize(static_cast<std::size_t>(bad * heads.heads * heads.value_dim));
                const std::vector<float> before(clean.begin(),
                                                clean.begin() + static_cast<std::ptrdiff_t>(dirty.size()));
                EXPECT_TRUE(same_bits(before, dirty)) << "position " << bad;
            }
        }
    }
}

// However weights are rounded, they sum to one: equal values come out as they are.
TEST_P(AttentionBits, WeightsSumToOne) {
    for (const Heads& heads : taken({{6, 2, 40, 24, false},
                                     {6, 2, 40, 24, false, DType::F32},
                                     {6, 2, 40, 24, false, DType::F8E4M3}})) {
        Tokens tokens(heads, 130, 9);
        for (std::int64_t i = 0; i < tokens.count * tokens.width; ++i) {
            if (i % tokens.width >= heads.kv_heads * heads.key_dim)
                tokens.rows[static_cast<std::size_t>(i)] = 1;
        }
        for (const float value : feed(heads, tokens, 512, 0, 1)) ASSERT_NEAR(value, 1, (130 + 32) * kUnit);
    }
}

// Queries are rounded to bfloat16 where products of bfloat16 are taken, and nowhere else.
TEST_P(AttentionBits, QueriesAreRoundedForProductsOfBfloat16Alone) {
    const Heads heads{4, 2, 48, 24, false};
    Tokens exact(heads, 70, 12);
    for (float& value : exact.q) value *= 1 + 0x1p-10F;
    Tokens nearest = exact;
    for (float& value : nearest.q) value = rounded(value);
    EXPECT_EQ(same_bits(feed(heads, exact, 512, 0, 1), feed(heads, nearest, 512, 0, 1)), rounds());
}

TEST_P(Attention, GreatScoresDoNotOverflow) {
    for (const Heads& heads :
         taken({{2, 1, 16, 16, false, DType::F32}, {2, 1, 16, 16}, {2, 1, 16, 16, false, DType::F8E4M3}})) {
        Tokens tokens(heads, 130, 3);
        for (float& value : tokens.q) value = rounded(value * 1e4F);
        for (float& value : tokens.rows) value = rounded(value * 1e4F);
        Pages pages(heads, 3, 1);
        std::vector<std::int32_t> table;
        pages.store(tokens, 0, 130, table);
        const SequenceRows rows{0, 130, 130, table.data()};
        AttentionArgs args = pages.args();
        args.q = tokens.q.data();
        args.sequences = {&rows, 1};
        std::vector<float> out(130 * 32), want(130 * 32);
        args.out = want.data();
        reference(args);
        args.out = out.data();
        run(args);
        // Scores of 1e8 differ by much more than one, so one position takes all.
        for (std::size_t i = 0; i < out.size(); ++i)
            ASSERT_NEAR(out[i], want[i], 1e-3 * std::abs(want[i]) + 1e-3);
    }
}

TEST_P(Attention, TakesNoSequences) { run({}); }

SLUICE_EVERY_KERNEL(Attention, AttentionArgs);
SLUICE_EVERY_KERNEL(AttentionValues, AttentionArgs);
SLUICE_EVERY_KERNEL(AttentionBits, AttentionArgs);

}  // namespace
}  // namespace sluice::test
