// A register tile over a chunk of k, for any Dot (see product_dot.hpp). The rules of
// simd.hpp hold.
#pragma once

#include "kernels/cpu/product_dot.hpp"

namespace sluice::kernels::cpu {

// Some of the pairs of a segment: part of a k block, or several.
struct BlockTask {
    const std::byte* w = nullptr;
    std::int64_t panel_bytes = 0;
    const void* x = nullptr;
    std::int64_t x_stride = 0;
    std::int64_t begin = 0, end = 0;     // pairs
    const std::int64_t* ends = nullptr;  // of the blocks, from that of `begin` on
    bool begins = false;                 // with a block: its sum is zero so far
    float* sums = nullptr;               // [rows][sums_stride]: where the sum of a block rests that goes on
    std::int64_t sums_stride = 0;
    // Where a quantised block ends: its sum, scaled, is added to totals (first: they hold nothing yet).
    const float* w_scales = nullptr;  // [panels, w_scale_stride apart][blocks][w_scale_width], or null
    std::int64_t w_scale_stride = 0, w_scale_width = 0;
    float* totals = nullptr;  // [rows][sums_stride]
    bool first = false;
    const float* x_scales = nullptr;  // [rows][x_scale_stride], one a block, or null
    std::int64_t x_scale_stride = 0;
    // What comes next. One sweep prefetches, with every pair, as much of each of its panels, which lie
    // ahead_panel_bytes apart; of several each prefetches at two places, so many bytes a pair.
    bool one_sweep = false;
    const std::byte *ahead = nullptr, *ahead_too = nullptr;
    std::int64_t ahead_panel_bytes = 0, ahead_step = 0, ahead_too_step = 0;
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

// Where a task's multiplication has come to.
template <class Dot>
struct Place {
    const std::byte* w;
    const typename Dot::X* x;
    const std::byte *ahead, *ahead_too;
};

// The next `pairs` into every sum of the tile.
template <class Dot, Format format, int rows, int panels, bool one_sweep>
SLUICE_SIMD void add_block(Sums<Dot, rows, panels>& sum, const BlockTask& t, Place<Dot>& at,
                           std::int64_t pairs) {
    constexpr int kCount = kPairsAtOnce<Dot, format>;
    std::int64_t i = 0;
    for (; i + kCount <= pairs; i += kCount) {
        if constexpr (one_sweep) {
            if (t.ahead_step > 0) {
#pragma GCC unroll 8
                for (int p = 0; p < panels; ++p) Dot::prefetch(at.ahead + p * t.ahead_panel_bytes);
            }
            at.ahead += kCount * pair_bytes(format);
        } else {
            Dot::prefetch(at.ahead);
            if constexpr (rows * panels >= 12) Dot::prefetch(at.ahead_too);
            at.ahead += kCount * t.ahead_step;
            at.ahead_too += kCount * t.ahead_too_step;
        }
        add_pairs<Dot, format, rows, panels, kCount>(sum, t, at.w, at.x);
        at.w += kCount * pair_bytes(format);
        at.x += 2 * kCount;
    }
    if constexpr (kCount > 1) {
        if (i == pairs) return;
        add_pairs<Dot, format, rows, panels, 1>(sum, t, at.w, at.x);
        at.w += pair_bytes(format);
        at.x += 2;
    }
}

// The scales of the task's block b, which lie far from its codes, on their way while it is multiplied.
template <class Dot, int panels>
SLUICE_SIMD void fetch_scales(const BlockTask& t, int b) {
    if (t.w_scales == nullptr) return;
#pragma GCC unroll 8
    for (int p = 0; p < panels; ++p) Dot::prefetch(t.w_scales + b * t.w_scale_width + p * t.w_scale_stride);
}

// The sums of the task's block b, scaled, are added to the totals, and begin anew.
template <class Dot, int rows, int panels>
SLUICE_SIMD void end_block(Sums<Dot, rows, panels>& sum, const BlockTask& t, int b) {
    typename Dot::F32 scale[panels];
#pragma GCC unroll 8
    for (int p = 0; p < panels; ++p) {
        const float* at = t.w_scales + b * t.w_scale_width + p * t.w_scale_stride;
        scale[p] = t.w_scale_width == 1 ? Dot::set(*at) : Dot::load(at);
    }
    const bool first = t.first && b == 0;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        float* total = t.totals + r * t.sums_stride;
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) {
            auto v = sum[r][p];
            if (t.x_scales != nullptr) v = Dot::mul(v, Dot::set(t.x_scales[r * t.x_scale_stride + b]));
            v = Dot::mul(v, scale[p]);
            v = Dot::add(first ? Dot::zero() : Dot::load(total + p * kPanel), v);
            Dot::store(total + p * kPanel, v);
            sum[r][p] = Dot::zero();
        }
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
    Place<Dot> at = {t.w, static_cast<const typename Dot::X*>(t.x), t.ahead, t.ahead_too};
    int b = 0;
    for (std::int64_t i = t.begin; i < t.end; ++b) {
        const std::int64_t end = t.ends[b] < t.end ? t.ends[b] : t.end;
        fetch_scales<Dot, panels>(t, b);
        if (t.one_sweep)
            add_block<Dot, format, rows, panels, true>(sum, t, at, end - i);
        else
            add_block<Dot, format, rows, panels, false>(sum, t, at, end - i);
        i = end;
        if (t.w_scales != nullptr && end == t.ends[b]) end_block<Dot, rows, panels>(sum, t, b);
    }
    if (t.w_scales != nullptr && t.end == t.ends[b - 1]) return;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        float* rest = t.sums + r * t.sums_stride;
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) Dot::store(rest + p * kPanel, sum[r][p]);
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
