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
    // What comes next: with every pair a line each of two of its panels is prefetched, ahead_step bytes on.
    const std::byte *ahead = nullptr, *ahead_too = nullptr;
    std::int64_t ahead_step = 0;
    float* out = nullptr;  // likewise: where the sum, or the total, goes
};

template <class Dot, int rows, int panels>
using Sums = typename Dot::F32[rows][panels];

// One k pair into every sum of the tile.
template <class Dot, Format format, int rows, int panels>
SLUICE_SIMD void add_pair(Sums<Dot, rows, panels>& sum, const BlockTask& t, const std::byte* w,
                          const typename Dot::X* x) {
    using Pair = typename Dot::Pair;
    if constexpr (rows >= panels) {  // whichever is fewer stays in registers
        Pair pair[panels];
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) pair[p] = Dot::template load_pair<format>(w + p * t.panel_bytes);
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
            const Pair value = Dot::load_x(x + r * t.x_stride);
#pragma GCC unroll 8
            for (int p = 0; p < panels; ++p) sum[r][p] = Dot::dot(sum[r][p], pair[p], value);
        }
    } else {
        Pair value[rows];
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) value[r] = Dot::load_x(x + r * t.x_stride);
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) {
            const Pair pair = Dot::template load_pair<format>(w + p * t.panel_bytes);
#pragma GCC unroll 12
            for (int r = 0; r < rows; ++r) sum[r][p] = Dot::dot(sum[r][p], pair, value[r]);
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
    const std::byte* w = t.w;
    const auto* x = static_cast<const typename Dot::X*>(t.x);
    const std::byte *ahead = t.ahead, *ahead_too = t.ahead_too;
    for (std::int64_t i = 0; i < t.pairs;
         ++i, w += pair_bytes(format), x += 2, ahead += t.ahead_step, ahead_too += t.ahead_step) {
        Dot::prefetch(ahead);
        if constexpr (rows * panels > 12) Dot::prefetch(ahead_too);
        add_pair<Dot, format, rows, panels>(sum, t, w, x);
    }
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
