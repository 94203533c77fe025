// The product's bodies, for any Dot (see product_dot.hpp). The rules of simd.hpp hold.
//
// Accumulation: every output has one float32 sum over k in pair order, from +0. Where the weight is
// quantised, it is one a k block, and total = total + (sum * x scale) * weight scale in block order. How rows
// and panels are tiled, and where a sum rests in memory between two chunks of a block, changes no bit.
#pragma once

#include "kernels/cpu/product_dot.hpp"
#include "kernels/cpu/product_isa.hpp"
#include "kernels/fp8_rows.hpp"

namespace sluice::kernels::cpu {

inline constexpr float kLargestCode = 448;

// --- activations ---

// Rounds to the nearest e4m3 value, ties to even: adding 1.5 * 2^20 powers leaves 3 fraction bits; below
// 2^-6 the spacing stays 2^-9.
template <class Isa>
SLUICE_SIMD typename Isa::F32 round_to_fp8(typename Isa::F32 v) {
    const auto magic = Isa::mul(Isa::max(Isa::power_below(v), Isa::set(0x1p-6F)), Isa::set(1.5F * 0x1p20F));
    const auto rounded = Isa::sub(Isa::add(v, magic), magic);
    return Isa::max(Isa::set(-kLargestCode), Isa::min(Isa::set(kLargestCode), rounded));
}

template <class Isa>
SLUICE_SIMD float largest_magnitude(const float* x, std::int64_t n) {
    auto best = Isa::zero();
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) best = Isa::max(Isa::abs(Isa::load(x + i)), best);
    if (i < n) best = Isa::max(Isa::abs(Isa::load_some(x + i, static_cast<int>(n - i))), best);
    return Isa::max_lane(best);
}

template <class Dot>
SLUICE_SIMD void convert_block(const float* x, std::int64_t n, typename Dot::X* out, bool exact,
                               float scale) {
    const auto divisor = Dot::set(scale);
    for (std::int64_t i = 0; i < n; i += 16) {
        const int count = n - i < 16 ? static_cast<int>(n - i) : 16;
        auto v = count == 16 ? Dot::load(x + i) : Dot::load_some(x + i, count);
        if (scale != 0) v = round_to_fp8<Dot>(Dot::div(v, divisor));
        Dot::store_x(out + i, v, count + (count & 1), exact || scale != 0);
    }
}

template <class Dot>
void convert_row(const RowTask& task) {
    const Segment& s = *task.segment;
    auto* out = static_cast<typename Dot::X*>(task.out);
    for (int b = 0; b < s.blocks; ++b) {
        const float* x = task.x + s.block_col[b];
        const std::int64_t n = s.block_col[b + 1] - s.block_col[b];
        float scale = 0;  // none
        if (task.form == RowForm::Fp8) {
            scale = fp8_row_scale(largest_magnitude<Dot>(x, n), task.power_of_two_scales);
            task.scales[b] = scale;
        }
        convert_block<Dot>(x, n, out + 2 * s.block_pair[b], task.form == RowForm::F32, scale);
    }
}

// --- a block of k or a chunk of one, a register tile ---

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
    // What the source holds next, for the first ahead_panels panels (panel_bytes of the segment apart): with
    // every pair one line of a panel is prefetched, the next ahead_step bytes on.
    const std::byte* ahead = nullptr;
    std::int64_t ahead_panels = 0, ahead_step = 0;
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
    const std::byte* ahead = t.ahead;
    for (std::int64_t i = 0; i < t.pairs; ++i, w += pair_bytes(format), x += 2, ahead += t.ahead_step) {
        Dot::prefetch(ahead);
        add_pair<Dot, format, rows, panels>(sum, t, w, x);
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
        float* to = (t.w_scales == nullptr ? t.sums : t.totals) + r * t.sums_stride;
#pragma GCC unroll 8
        for (int p = 0; p < panels; ++p) {
            auto v = sum[r][p];
            if (t.w_scales != nullptr) {
                if (t.x_scales != nullptr) v = Dot::mul(v, Dot::set(t.x_scales[r * t.x_scale_stride]));
                v = Dot::mul(v, Dot::load(t.w_scales + p * kPanel));
                v = Dot::add(t.first ? Dot::zero() : Dot::load(to + p * kPanel), v);
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

// --- a tile: all of k, `panels` panels, any number of rows ---

template <class Dot>
constexpr int most_rows(int panels) {
    constexpr int kMost = Dot::kAccumulators / Dot::kBulkPanels;
    return Dot::kAccumulators / panels < kMost ? Dot::kAccumulators / panels : kMost;
}

template <class Dot, Format format, int panels>
SLUICE_SIMD void sweep_rows(const TileTask& t, BlockTask block) {
    constexpr int kRows = most_rows<Dot>(panels);
    const std::int64_t tiles = (t.rows + kRows - 1) / kRows;
    const auto* x = static_cast<const typename Dot::X*>(block.x);
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < tiles; ++i) {
        const std::int64_t end = t.rows * (i + 1) / tiles;
        BlockTask part = block;
        part.x = x + row * t.x_stride;
        part.sums += row * block.sums_stride;
        part.totals += row * block.sums_stride;
        if (part.x_scales != nullptr) part.x_scales += row * t.x_scale_stride;
        // While rows are multiplied, the next weights come: the first tiles fetch a panel each.
        const bool fetches = tiles > 1 && i < block.ahead_panels;
        part.ahead = fetches ? block.ahead + i * t.segment->panel_bytes : block.w;
        part.ahead_step = fetches ? block.ahead_step : 0;
        multiply_rows<Dot, format, panels, kRows>(static_cast<int>(end - row), part);
        row = end;
    }
}

template <class Dot, Format format, int panels>
SLUICE_SIMD void decode_chunk(const BlockTask& block, std::byte* out) {
    constexpr std::int64_t kTo = pair_bytes(Dot::kDecoded);
    for (int p = 0; p < panels; ++p) {
        const std::byte* w = block.w + p * block.panel_bytes;
        for (std::int64_t i = 0; i < block.pairs; ++i, w += pair_bytes(format), out += kTo)
            Dot::store_pair(out, Dot::template load_pair<format>(w));
    }
}

// Tells what follows pairs [i, i + block.pairs) of panels [panel, panel + panels): the same panels' next
// pairs, else the next panels' first. As many pairs are prefetched as are multiplied, never past a panel's
// end: a line of codes is then asked for by two pairs, and of float32 panels (two lines a pair) every other
// line.
template <Format format>
SLUICE_SIMD void look_ahead(const TileTask& t, std::int64_t panel, int panels, std::int64_t i,
                            BlockTask& block) {
    const Segment& s = *t.segment;
    const std::int64_t pairs = s.block_pair[s.blocks];
    const std::int64_t next = i + block.pairs, last = pairs - block.pairs;
    const std::int64_t from = next == pairs ? panel + panels : panel;
    const std::int64_t pair = next == pairs ? 0 : next < last ? next : last;
    const std::int64_t left = t.padded_columns / kPanel - from;
    block.ahead_panels = left < panels ? left : panels;
    if (block.ahead_panels > 0) block.ahead = s.panels + from * s.panel_bytes + pair * pair_bytes(format);
    block.ahead_step = pair_bytes(format);
}

// Panels [panel, panel + panels) into totals [rows][panels * 16], which begin the scratch.
template <class Dot, Format format, int panels>
void multiply_panels(const TileTask& t, std::int64_t panel) {
    constexpr bool kCoded = format == Format::Fp8 || format == Format::Int8;
    static_assert(Dot::kBulkPanels <= kChunkPanels);
    const Segment& s = *t.segment;
    const bool one_sweep = t.rows <= most_rows<Dot>(panels);
    auto* totals = static_cast<float*>(t.scratch);
    auto* decoded = reinterpret_cast<std::byte*>(totals + kDecodedAt);
    for (int b = 0; b < s.blocks; ++b) {
        const std::int64_t begin = s.block_pair[b], end = s.block_pair[b + 1];
        const std::int64_t step = one_sweep ? end - begin : kChunkPairs;
        for (std::int64_t i = begin; i < end; i += step) {
            BlockTask block{};  // no call of a constructor that every set would share
            block.w = s.panels + panel * s.panel_bytes + i * pair_bytes(format);
            block.panel_bytes = s.panel_bytes;
            block.x = static_cast<const typename Dot::X*>(t.x) + 2 * i;
            block.x_stride = t.x_stride;
            block.pairs = end - i < step ? end - i : step;
            block.sums = kCoded ? totals + kBlockSumsAt : totals;
            block.sums_stride = panels * kPanel;
            block.begins = i == begin;
            block.totals = totals;
            block.first = b == 0;
            look_ahead<format>(t, panel, panels, i, block);
            if constexpr (kCoded) {
                if (i + block.pairs == end) block.w_scales = s.scales + b * t.padded_columns + panel * kPanel;
                if (t.x_scales != nullptr) block.x_scales = t.x_scales + b;
                block.x_scale_stride = t.x_scale_stride;
                if (!one_sweep) {
                    decode_chunk<Dot, format, panels>(block, decoded);
                    block.w = decoded;
                    block.panel_bytes = block.pairs * pair_bytes(Dot::kDecoded);
                    sweep_rows<Dot, Dot::kDecoded, panels>(t, block);
                    continue;
                }
            }
            sweep_rows<Dot, format, panels>(t, block);
        }
    }
}

template <class Dot>
SLUICE_SIMD void write_out(const TileTask& t, std::int64_t panel, int panels, const float* totals) {
    for (std::int64_t r = 0; r < t.rows; ++r) {
        for (int p = 0; p < panels; ++p) {
            const std::int64_t column = (panel + p) * kPanel;
            const std::int64_t valid = t.columns - column < kPanel ? t.columns - column : kPanel;
            Dot::store_some(t.out + r * t.out_stride + column, Dot::load(totals + (r * panels + p) * kPanel),
                            static_cast<int>(valid));
        }
    }
}

// As many panels at once as the registers hold all these rows for, else the width for many rows.
template <class Dot, Format format, int panels>
void multiply_format(const TileTask& t, std::int64_t panel) {
    constexpr int kRows = most_rows<Dot>(panels);
    if constexpr (kRows > 0) {
        const bool fits = panels <= Dot::kBulkPanels || t.rows <= kRows;
        for (; fits && t.first_panel + t.panels - panel >= panels; panel += panels) {
            multiply_panels<Dot, format, panels>(t, panel);
            write_out<Dot>(t, panel, panels, static_cast<const float*>(t.scratch));
        }
    }
    if constexpr (panels > 1) multiply_format<Dot, format, panels / 2>(t, panel);
}

template <class Dot>
void multiply_tile(const TileTask& t) {
    if (t.format == Format::Bf16) return multiply_format<Dot, Format::Bf16, kTilePanels>(t, t.first_panel);
    if (t.format == Format::Fp8) return multiply_format<Dot, Format::Fp8, kTilePanels>(t, t.first_panel);
    if (t.format == Format::Int8) return multiply_format<Dot, Format::Int8, kTilePanels>(t, t.first_panel);
    if constexpr (Dot::kDecoded == Format::F32)
        multiply_format<Dot, Format::F32, kTilePanels>(t, t.first_panel);
}

template <class Dot>
inline constexpr ProductIsa kProductOf = {sizeof(typename Dot::X), &convert_row<Dot>, &multiply_tile<Dot>};

}  // namespace sluice::kernels::cpu
