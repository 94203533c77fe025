// Heads, tokens on pages and masks that the attention tests share.
#pragma once

#include "kernel_suite.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sluice::test {

struct Heads {
    std::int64_t heads = 1, kv_heads = 1, key_dim = 0, value_dim = 0;
    bool aliased = false;  // values are the keys' first columns
    DType dtype = DType::BF16;
    float softcap = 0;
    std::int64_t gap = 3;  // elements between two rows of the pages; with 3 of them, rows are not aligned
};

inline std::vector<Heads> all_heads() {
    return {{4, 1, 80, 64, true},
            {4, 1, 80, 64, true, DType::F32},
            {7, 1, 576, 512, true, DType::BF16, 0, 8},
            {5, 1, 20, 20, true, DType::BF16, 0, 4},
            {8, 2, 24, 24, false},
            {8, 2, 24, 24, false, DType::F32, 5},
            {8, 2, 128, 128, false, DType::BF16, 30},
            {3, 3, 17, 9, false},
            {3, 3, 17, 9, false, DType::F32},
            {1, 1, 1, 1, false},
            {6, 2, 32, 32, false},
            {8, 1, 16, 16, false},
            {12, 2, 64, 64, false, DType::BF16, 0, 8},
            {7, 1, 576, 512, true, DType::F8E4M3, 0, 16},
            {3, 3, 17, 9, false, DType::F8E4M3, 5},
            {8, 2, 128, 128, false, DType::F8E4M3, 30, 16},
            {12, 2, 64, 48, false, DType::F8E4M3, 0, 16}};
}

// Grouped queries: every head width and group size of the usual models.
inline std::vector<Heads> grouped_heads() {
    std::vector<Heads> all;
    for (const std::int64_t dim : {16, 24, 32, 64, 128}) {
        for (const std::int64_t group : {1, 3, 4, 6, 8}) {
            const bool capped = (dim / 8 + group) % 2 == 0;
            const DType dtype = group == 4 ? DType::F32 : group == 6 ? DType::F8E4M3 : DType::BF16;
            all.push_back({2 * group, 2, dim, dim, false, dtype, capped ? 5.0F : 0.0F});
        }
    }
    return all;
}

enum class Mask { None, First, FirstBlock, All, Some, AllButOne };

// The masked ones of positions [0, tokens).
inline std::vector<std::int32_t> positions_of(Mask mask, std::int32_t tokens) {
    Noise noise(77);
    std::vector<std::int32_t> masked;
    for (std::int32_t p = 0; p < tokens; ++p) {
        const bool random = noise() < 0;
        if (mask == Mask::All || (mask == Mask::First && p == 0) ||
            (mask == Mask::FirstBlock && p < kPageTokens) || (mask == Mask::Some && (p < 4 || random)) ||
            (mask == Mask::AllButOne && p != 66)) {
            masked.push_back(p);
        }
    }
    return masked;
}

inline float rounded(float value) { return to_float(to_bf16(value)); }

// As pages hold it.
inline float rounded(float value, DType dtype) {
    return dtype == DType::F32 ? value : dtype == DType::BF16 ? rounded(value) : fp8_to_float(to_fp8(value));
}

// One sequence's tokens: queries, and rows of keys then values. The rows are what pages hold already, and the
// queries bfloat16 unless these are float32, so that rounding changes nothing.
struct Tokens {
    Tokens(const Heads& heads, std::int64_t tokens, std::uint64_t seed) : count(tokens) {
        Noise noise(seed);
        width = heads.kv_heads * (heads.key_dim + (heads.aliased ? 0 : heads.value_dim));
        q = noise.vector(count * heads.heads * heads.key_dim, 2);
        rows = noise.vector(count * width);
        if (heads.dtype == DType::F32) return;
        for (float& value : q) value = rounded(value);
        for (float& value : rows) value = rounded(value, heads.dtype);
    }
    std::int64_t count, width = 0;
    std::vector<float> q, rows;
    std::vector<std::int32_t> masked = {};
};

// Pages, NaN wherever no token is stored. The same tokens may lie on any pages.
class Pages {
public:
    Pages(const Heads& heads, std::int64_t pages, std::uint64_t order)
        : heads_(heads), free_(static_cast<std::size_t>(pages)) {
        stride_ = heads.kv_heads * (heads.key_dim + (heads.aliased ? 0 : heads.value_dim)) + heads.gap;
        const auto size = static_cast<std::size_t>(pages * kPageTokens * stride_);
        memory_.assign(size * size_of(heads.dtype), std::byte{0xff});
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
                put(at + i, tokens.rows[static_cast<std::size_t>(p * tokens.width + i)]);
            }
        }
    }

    AttentionArgs args() const {
        AttentionArgs args;
        const std::int64_t values = heads_.aliased ? 0 : heads_.kv_heads * heads_.key_dim;
        args.keys = memory_.data();
        args.values = memory_.data() + static_cast<std::size_t>(values) * size_of(heads_.dtype);
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
    void put(std::int64_t index, float value) {
        void* memory = memory_.data();
        switch (heads_.dtype) {
            case DType::F32: static_cast<float*>(memory)[index] = value; break;
            case DType::F8E4M3: static_cast<fp8*>(memory)[index] = to_fp8(value); break;
            default: static_cast<bf16*>(memory)[index] = to_bf16(value);
        }
    }

    Heads heads_;
    std::int64_t stride_ = 0;
    std::vector<std::byte> memory_;
    std::vector<std::int32_t> free_;
};

// What the suites over all implementations share.
class AttentionSuite : public KernelSuite<AttentionArgs> {
protected:
    // Every implementation that can run here, preferred or not.
    void SetUp() override {
        if (!kernel().fits({}, machine())) GTEST_SKIP() << "this machine cannot run it";
    }
    const Kernel<AttentionArgs>& kernel() const { return at(GetParam()); }
    static Machine machine() {
        Machine all = this_machine();
        all.slow_bf16_dot = false;
        return all;
    }
    // With what an implementation on a GPU needs: sequences where it can read them, and what they add up to.
    void run(AttentionArgs args, int threads = 1) const {
        const std::vector<SequenceRows> sequences(args.sequences.begin(), args.sequences.end());
        args.sequences = sequences;
        for (const SequenceRows& sequence : sequences) {
            args.rows += sequence.rows;
            args.most_context = std::max(args.most_context, sequence.context);
        }
        if (with_workspace_) return KernelSuite::run(args, threads);
        kernel().run(args, {threads});
        synchronize(kernel().family, {threads});
    }
    bool with_workspace_ = true;

    // Whether queries and weights are rounded to bfloat16.
    bool rounds() const { return kernel().name == "cpu.avx512_bf16" || kernel().family == Family::Cuda; }
    bool takes(const Heads& heads) const {
        AttentionArgs args;
        args.page_dtype = heads.dtype;
        return kernel().fits(args, machine());
    }
    // Those of `all` that the implementation takes.
    std::vector<Heads> taken(std::vector<Heads> all) const {
        std::erase_if(all, [this](const Heads& heads) { return !takes(heads); });
        return all;
    }
    // Weights w (1 + d) with |d| <= u, normalised by their own sum, move the mean m of values v by the mean
    // of d (v - m) over 1 - u at most; values are at most 1 in size.
    double weight_bound(double mean) const {
        const double u = rounds() ? 0x1p-8 : 0;
        return u / (1 - u) * (1 + std::abs(mean));
    }
};

// Scores: key_dim roundings of terms at most 2 in size, and of capping; the softmax turns a score's error
// into twice that; then the exponentials' and the sums' own, and the rescalings. All times the largest
// value, 1.
inline double attention_bound(const Heads& heads, std::int64_t context) {
    const auto dim = static_cast<double>(heads.key_dim);
    const double score = (dim + 4) * kUnit * 2 * dim * 0.7 / std::sqrt(dim) + 16 * kUnit * heads.softcap;
    return 2 * score + (static_cast<double>(context) + 32) * kUnit;
}

}  // namespace sluice::test
