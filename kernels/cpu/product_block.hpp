// A register tile over a chunk of k, for any Dot (see product_dot.hpp). The rules of
// simd.hpp hold.
#pragma once

#include "kernels/cpu/product_dot.hpp"

namespace sluice::kernels::cpu {

// Some of the pairs of a segment, whole lines: part of a k block, or several.
struct BlockTask {
    Lines w{};  // of the first panel; those of the others lie beside them
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
    // What comes next: with every line a single sweep prefetches one for each of its panels (of float32,
    // which has two cache lines, the first); of several each prefetches there and so many bytes further on,
    // and moves by as many bytes as are its share.
    bool one_sweep = false;
    Lines ahead{};
    std::int64_t ahead_too = 0;
};

// Pairs that are loaded at once: a line of codes, where a set decodes them together.
template <class Dot, Format format>
inline constexpr int kPairsAtOnce = Dot::template kDecodesTwo<format> ? line_pairs(format) : 1;

template <class Dot, int rows, int panels>
using Sums = typename Dot::F32[rows][panels];

// `count` k pairs, in order, into every sum of the tile.
template <class Dot, Format format, int rows, int panels, int count>
SLUICE_SIMD void add_pairs(Sums<Dot, rows, panels>& sum, const BlockTask& t, const std::byte* w,
                           const typename Dot::X* x) {
    using Pair = typename Dot::Pair;
    if constexpr (rows >= panels) {  // whichever is fewer stays in registers
        Pair pair[panels][count];
#pragma GCC unroll 4
        for (int p = 0; p < panels; ++p)
            Dot::template load_pairs<format, count>(w + p * line_bytes(format), pair[p]);
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (int i = 0; i < count; ++i) {
                const Pair value = Dot::load_x(x + r * t.x_stride + 2 * i);
#pragma GCC unroll 4
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
#pragma GCC unroll 4
        for (int p = 0; p < panels; ++p) {
            Pair pair[count];
            Dot::template load_pairs<format, count>(w + p * line_bytes(format), pair);
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
    const std::byte* ahead;
};

// The next `pairs`, whole lines, into every sum of the tile.
template <class Dot, Format format, int rows, int panels, bool one_sweep>
SLUICE_SIMD void add_block(Sums<Dot, rows, panels>& sum, const BlockTask& t, Place<Dot>& at,
                           std::int64_t pairs) {
    constexpr int kCount = kPairsAtOnce<Dot, format>;
    for (std::int64_t i = 0; i < pairs; i += line_pairs(format)) {
        if constexpr (one_sweep) {
#pragma GCC unroll 4
            for (int p = 0; p < panels; ++p) Dot::prefetch(at.ahead + p * line_bytes(format));
        } else {
            Dot::prefetch(at.ahead);
            if constexpr (rows * panels >= 8) Dot::prefetch(at.ahead + t.ahead_too);
        }
        at.ahead += t.ahead.step;
        for (int j = 0; j < line_pairs(format); j += kCount) {
            add_pairs<Dot, format, rows, panels, kCount>(sum, t, at.w + j * pair_bytes(format), at.x);
            at.x += 2 * kCount;
        }
        at.w += t.w.step;
    }
}

// The scales of the task's block b, which lie far from its codes, on their way while it is multiplied.
template <class Dot, int panels>
SLUICE_SIMD void fetch_scales(const BlockTask& t, int b) {
    if (t.w_scales == nullptr) return;
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) Dot::prefetch(t.w_scales + b * t.w_scale_width + p * t.w_scale_stride);
}

// The sums of the task's block b, scaled, are added to the totals, and begin anew.
template <class Dot, int rows, int panels>
SLUICE_SIMD void end_block(Sums<Dot, rows, panels>& sum, const BlockTask& t, int b) {
    typename Dot::F32 scale[panels];
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) {
        const float* at = t.w_scales + b * t.w_scale_width + p * t.w_scale_stride;
        scale[p] = t.w_scale_width == 1 ? Dot::set(*at) : Dot::load(at);
    }
    const bool first = t.first && b == 0;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        float* total = t.totals + r * t.sums_stride;
#pragma GCC unroll 4
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
#pragma GCC unroll 4
        for (int p = 0; p < panels; ++p) sum[r][p] = t.begins ? Dot::zero() : Dot::load(rest + p * kPanel);
    }
    Place<Dot> at = {t.w.first, static_cast<const typename Dot::X*>(t.x), t.ahead.first};
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
#pragma GCC unroll 4
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
