// A register tile over a block of k, or a chunk of one, for any Dot (see product_dot.hpp). The rules of
// simd.hpp hold.
#pragma once

#include "kernels/cpu/product_dot.hpp"

namespace sluice::kernels::cpu {

struct BlockTask {
    const std::byte* w = nullptr;
    std::int64_t panel_bytes = 0;
    const void* x = nullptr;
    std::int64_t x_stride = 0;
    std::int64_t pairs = 0;
    float* sums = nullptr;  // [rows][sums_stride]: where the block's sum rests between two chunks
    std::int64_t sums_stride = 0;
    bool begins = false;  // the block: its sum is zero so far
    // Where a quantised block ends: its sum, scaled, is added to totals (first: they hold nothing yet).
    const float* w_scales = nullptr;  // of the tile's columns, or null
    float* totals = nullptr;          // [rows][sums_stride]
    bool first = false;
    const float* x_scales = nullptr;  // of the tile's rows, x_scale_stride apart, or null
    std::int64_t x_scale_stride = 0;
    // What comes next. One sweep prefetches, with every pair, as much of each of its panels, which lie
    // ahead_panel_bytes apart; of several each prefetches two panels, ahead_step bytes a pair.
    bool one_sweep = false;
    const std::byte *ahead = nullptr, *ahead_too = nullptr;
    std::int64_t ahead_panel_bytes = 0, ahead_step = 0;
    float* out = nullptr;  // likewise: where the sum, or the total, goes
};

// Pairs that are loaded at once: two of codes, where a set decodes them together.
template <class Dot, Format format>
inline constexpr int kPairsAtOnce = Dot::template kDecodesTwo<format> ? 2 : 1;

template <class Dot, int rows, int panels>
using Sums = typename Dot::F32[rows][panels];

// `count` k pairs, in order, into every sum of the tile.
template <class Dot, Format format, int rows, int panels, int count>
SLUICE_SIMD void add_pairs(Sums<Dot, rows, panels>& sum, const BlockTask& t, const std::byte* w,
                           const typename Dot::X* x) {
    using Pair = typename Dot::Pair;
    if constexpr (rows >= panels) {  // whichever is fewer stays in registers
        Pair pair[panels][count];
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p)
            Dot::template load_pairs<format, count>(w + p * t.panel_bytes, pair[p]);
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (int i = 0; i < count; ++i) {
                const Pair value = Dot::load_x(x + r * t.x_stride + 2 * i);
#pragma GCC unroll 8
                for (int p = 0; p < panels; ++p) sum[r][p] = Dot::dot(sum[r][p], pair[p][i], value);
            }
        }
    } else {
        Pair value[rows][count];
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (int i = 0; i < count; ++i) value[r][i] = Dot::load_x(x + r * t.x_stride + 2 * i);
        }
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) {
            Pair pair[count];
            Dot::template load_pairs<format, count>(w + p * t.panel_bytes, pair);
#pragma GCC unroll 12
            for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
                for (int i = 0; i < count; ++i) sum[r][p] = Dot::dot(sum[r][p], pair[i], value[r][i]);
            }
        }
    }
}

template <class Dot, Format format, int rows, int panels, bool one_sweep>
SLUICE_SIMD void add_block(Sums<Dot, rows, panels>& sum, const BlockTask& t) {
    constexpr int kCount = kPairsAtOnce<Dot, format>;
    constexpr std::int64_t kBytes = kCount * pair_bytes(format);
    const std::byte *w = t.w, *ahead = t.ahead, *ahead_too = t.ahead_too;
    const auto* x = static_cast<const typename Dot::X*>(t.x);
    std::int64_t i = 0;
    for (; i + kCount <= t.pairs; i += kCount, w += kBytes, x += 2 * kCount) {
        if constexpr (one_sweep) {
            if (t.ahead_step > 0) {
#pragma GCC unroll 8
                for (int p = 0; p < panels; ++p) Dot::prefetch(ahead + p * t.ahead_panel_bytes);
            }
            ahead += kBytes;
        } else {
            Dot::prefetch(ahead);
            if constexpr (rows * panels > 12) Dot::prefetch(ahead_too);
            ahead += kCount * t.ahead_step;
            ahead_too += kCount * t.ahead_step;
        }
        add_pairs<Dot, format, rows, panels, kCount>(sum, t, w, x);
    }
    if constexpr (kCount > 1) {
        if (i < t.pairs) add_pairs<Dot, format, rows, panels, 1>(sum, t, w, x);
    }
}

template <class Dot, Format format, int rows, int panels>
void multiply_block(const BlockTask& t) {
    Sums<Dot, rows, panels> sum;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        const float* rest = t.sums + r * t.sums_stride;
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) sum[r][p] = t.begins ? Dot::zero() : Dot::load(rest + p * kPanel);
    }
    if (t.one_sweep)
        add_block<Dot, format, rows, panels, true>(sum, t);
    else
        add_block<Dot, format, rows, panels, false>(sum, t);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        const float* total = t.totals + r * t.sums_stride;
        float* to = t.out + r * t.sums_stride;
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) {
            auto v = sum[r][p];
            if (t.w_scales != nullptr) {
                if (t.x_scales != nullptr) v = Dot::mul(v, Dot::set(t.x_scales[r * t.x_scale_stride]));
                v = Dot::mul(v, Dot::load(t.w_scales + p * kPanel));
                v = Dot::add(t.first ? Dot::zero() : Dot::load(total + p * kPanel), v);
            }
            Dot::store(to + p * kPanel, v);
        }
    }
}

template <class Dot, Format format, int panels, int rows>
void multiply_rows(int count, const BlockTask& task) {  // count in [1, rows]
    if constexpr (rows > 1) {
        if (count < rows) return multiply_rows<Dot, format, panels, rows - 1>(count, task);
    }
    multiply_block<Dot, format, rows, panels>(task);
}

}  // namespace sluice::kernels::cpu
