#include "kernel_suite.hpp"
#include "support/guarded.hpp"

#include <cmath>
#include <numeric>

namespace sluice::test {
namespace {

using Attention = KernelSuite<AttentionArgs>;

struct Heads {
    std::int64_t heads = 1, kv_heads = 1, key_dim = 0, value_dim = 0;
    bool aliased = false;  // values are the keys' first columns
    DType dtype = DType::BF16;
    float softcap = 0;
};

std::vector<Heads> all_heads() {
    return {
        {4, 1, 80, 64, true},  {4, 1, 80, 64, true, DType::F32},     {7, 1, 576, 512, true},
        {8, 2, 24, 24, false}, {8, 2, 24, 24, false, DType::F32, 5}, {8, 2, 128, 128, false, DType::BF16, 30},
        {3, 3, 17, 9, false},  {3, 3, 17, 9, false, DType::F32},     {1, 1, 1, 1, false}};
}

// One sequence's tokens: queries, and rows of keys then values.
struct Tokens {
    Tokens(const Heads& heads, std::int64_t tokens, std::uint64_t seed) : count(tokens) {
        Noise noise(seed);
        width = heads.kv_heads * (heads.key_dim + (heads.aliased ? 0 : heads.value_dim));
        q = noise.vector(count * heads.heads * heads.key_dim, 2);
        rows = noise.vector(count * width);
    }
    std::int64_t count, width = 0;
    std::vector<float> q, rows;
};

// Pages, NaN wherever no token is stored. The same tokens may lie on any pages.
class Pages {
public:
    Pages(const Heads& heads, std::int64_t pages, std::uint64_t order)
        : heads_(heads), free_(static_cast<std::size_t>(pages)) {
        stride_ = heads.kv_heads * (heads.key_dim + (heads.aliased ? 0 : heads.value_dim)) + 3;
        const auto size = static_cast<std::size_t>(pages * kPageTokens * stride_);
        floats_.assign(heads.dtype == DType::F32 ? size : 0, NAN);
        halves_.assign(heads.dtype == DType::BF16 ? size : 0, to_bf16(NAN));
        std::iota(free_.begin(), free_.end(), 0);
        Noise noise(order);
        for (std::size_t i = free_.size(); order != 0 && i > 1; --i) {
            std::swap(free_[i - 1],
                      free_[static_cast<std::size_t>(noise.below(static_cast<std::int64_t>(i)))]);
        }
    }

    // Stores tokens [begin, end), taking pages as they are needed.
    void store(const Tokens& tokens, std::int64_t begin, std::int64_t end, std::vector<std::int32_t>& table) {
        for (std::int64_t p = begin; p < end; ++p) {
            if (p % kPageTokens == 0) {
                table.push_back(free_.back());
                free_.pop_back();
            }
            const std::int64_t at = (table.back() * kPageTokens + p % kPageTokens) * stride_;
            for (std::int64_t i = 0; i < tokens.width; ++i) {
                const float value = tokens.rows[static_cast<std::size_t>(p * tokens.width + i)];
                if (heads_.dtype == DType::F32)
                    floats_[static_cast<std::size_t>(at + i)] = value;
                else
                    halves_[static_cast<std::size_t>(at + i)] = to_bf16(value);
            }
        }
    }

    AttentionArgs args() const {
        AttentionArgs args;
        const bool wide = heads_.dtype == DType::F32;
        const std::int64_t values = heads_.aliased ? 0 : heads_.kv_heads * heads_.key_dim;
        args.keys = wide ? static_cast<const void*>(floats_.data()) : halves_.data();
        args.values = wide ? static_cast<const void*>(floats_.data() + values) : halves_.data() + values;
        args.page_dtype = heads_.dtype;
        args.page_stride = kPageTokens * stride_;
        args.row_stride = stride_;
        args.key_head_stride = heads_.key_dim;
        args.value_head_stride = heads_.value_dim;
        args.heads = heads_.heads;
        args.kv_heads = heads_.kv_heads;
        args.key_dim = heads_.key_dim;
        args.value_dim = heads_.value_dim;
        args.scale = 0.7F / std::sqrt(static_cast<float>(heads_.key_dim));
        args.softcap = heads_.softcap;
        return args;
    }

private:
    Heads heads_;
    std::int64_t stride_ = 0;
    std::vector<float> floats_;
    std::vector<bf16> halves_;
    std::vector<std::int32_t> free_;
};

// Scores: key_dim roundings of terms at most 2 in size, and of capping; the softmax turns a score's error
// into twice that; then the exponentials' and the sums' own, and the rescalings. All times the largest
// value, 1.
double attention_bound(const Heads& heads, std::int64_t context) {
    const auto dim = static_cast<double>(heads.key_dim);
    const double score = (dim + 4) * kUnit * 2 * dim * 0.7 / std::sqrt(dim) + 16 * kUnit * heads.softcap;
    return 2 * score + (static_cast<double>(context) + 32) * kUnit;
}

TEST_P(Attention, AgreesWithAnOrdinarySoftmax) {
    struct Part {
        std::int64_t rows, context;
    };
    const std::vector<Part> parts = {{1, 1},  {1, 64},  {1, 65},   {7, 7},
                                     {0, 10}, {5, 130}, {66, 100}, {1, 200}};
    for (const Heads& heads : all_heads()) {
        Pages pages(heads, 20, 5);
        std::vector<std::vector<std::int32_t>> tables(parts.size());
        std::vector<SequenceRows> sequences;
        std::vector<float> q;
        std::int64_t rows = 0;
        for (std::size_t s = 0; s < parts.size(); ++s) {
            const Tokens tokens(heads, parts[s].context, s + 50);
            pages.store(tokens, 0, tokens.count, tables[s]);
            sequences.push_back({rows, parts[s].rows, parts[s].context, tables[s].data()});
            const std::int64_t skipped = (tokens.count - parts[s].rows) * heads.heads * heads.key_dim;
            q.insert(q.end(), tokens.q.begin() + skipped, tokens.q.end());
            rows += parts[s].rows;
        }
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
                    ASSERT_NEAR(out.at(r, i), want.at(r, i), attention_bound(heads, sequence.context))
                        << "key_dim " << heads.key_dim << ", context " << sequence.context << ", row " << r;
                }
            }
        }
    }
}

class AttentionBits : public Attention {
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
            const SequenceRows rows{0, end - begin, end, table.data()};
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
    for (const Heads& heads : all_heads()) {
        const Tokens tokens(heads, heads.key_dim > 500 ? 140 : 270, 31);
        const std::vector<float> whole = feed(heads, tokens, 512, 0, 1);
        for (const float value : whole) ASSERT_TRUE(std::isfinite(value));
        for (const std::int64_t chunk : {1, 7, 64, 100, 512}) {
            EXPECT_TRUE(same_bits(whole, feed(heads, tokens, chunk, 3, 1))) << "chunk " << chunk;
            EXPECT_TRUE(same_bits(whole, feed(heads, tokens, chunk, 4, 2))) << "chunk " << chunk;
        }
        EXPECT_TRUE(same_bits(whole, feed(heads, tokens, 512, 9, 3)));
    }
}

TEST_P(AttentionBits, NeighboursInTheBatchDoNotMatter) {
    for (const Heads& heads : all_heads()) {
        const std::int64_t count = 9, q_width = heads.heads * heads.key_dim;
        Pages pages(heads, 40, 2);
        std::vector<std::vector<std::int32_t>> tables(count);
        std::vector<SequenceRows> sequences;
        std::vector<float> q;
        for (std::int64_t s = 0; s < count; ++s) {
            const Tokens tokens(heads, 20 * s + 1, static_cast<std::uint64_t>(s));
            auto& table = tables[static_cast<std::size_t>(s)];
            pages.store(tokens, 0, tokens.count, table);
            sequences.push_back({s, 1, tokens.count, table.data()});
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

TEST_P(AttentionBits, LaterTokensAreNeverSeen) {
    for (const Heads& heads : all_heads()) {
        Tokens tokens(heads, 100, 8);
        const std::vector<float> clean = feed(heads, tokens, 512, 0, 1);
        const std::int64_t bad = 70;
        for (std::int64_t i = 0; i < tokens.width; ++i)
            tokens.rows[static_cast<std::size_t>(bad * tokens.width + i)] = NAN;
        std::vector<float> dirty = feed(heads, tokens, 512, 0, 1);
        for (const std::int64_t row : {bad, bad + 29}) {
            EXPECT_TRUE(std::isnan(dirty[static_cast<std::size_t>(row * heads.heads * heads.value_dim)]));
        }
        dirty.resize(static_cast<std::size_t>(bad * heads.heads * heads.value_dim));
        const std::vector<float> before(clean.begin(),
                                        clean.begin() + static_cast<std::ptrdiff_t>(dirty.size()));
        EXPECT_TRUE(same_bits(before, dirty));
    }
}

TEST_P(Attention, GreatScoresDoNotOverflow) {
    const Heads heads{2, 1, 16, 16, false, DType::F32};
    Tokens tokens(heads, 130, 3);
    for (float& value : tokens.q) value *= 1e4F;
    for (float& value : tokens.rows) value *= 1e4F;
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

TEST_P(Attention, TakesNoSequences) { run({}); }

SLUICE_EVERY_KERNEL(Attention, AttentionArgs);
SLUICE_EVERY_KERNEL(AttentionBits, AttentionArgs);

}  // namespace
}  // namespace sluice::test
