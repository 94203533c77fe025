// A product's tile: all of k, some panels, any number of rows, for any Dot (see product_dot.hpp). The rules
// of simd.hpp hold.
//
// Accumulation: every output has one float32 sum over k in pair order, from +0. Where the weight is
// quantised, it is one a k block, and total = total + (sum * x scale) * weight scale in block order. How rows
// and panels are tiled, and where a sum rests in memory between two chunks of a block, changes no bit.
#pragma once

#include "kernels/cpu/gate.hpp"
#include "kernels/cpu/product_block.hpp"
#include "kernels/cpu/product_convert.hpp"
#include "kernels/cpu/product_isa.hpp"

namespace sluice::kernels::cpu {

// Rows of a register tile of so many panels.
template <class Dot, Format format>
constexpr int most_rows(int panels) {
    if (Dot::template kDecodesTwo<format>) return panels > 4 ? 0 : panels > 2 ? 4 : 12;
    constexpr int kMost = Dot::kAccumulators / Dot::kBulkPanels;
    return Dot::kAccumulators / panels < kMost ? Dot::kAccumulators / panels : kMost;
}

// Up to how many rows a weight's codes are decoded with every sweep, in registers; for more, once, to memory.
template <class Dot, Format format>
constexpr int decoded_in_registers(int panels) {
    return Dot::template kDecodesTwo<format> ? 24 : most_rows<Dot, format>(panels);
}

// Pairs that several sweeps multiply before the next ones: what they read again should lie in the first-level
// cache, but every sweep has its own beginning and end. Codes are small; by many rows the second level will
// do.
template <class Dot, Format format>
constexpr std::int64_t chunk_pairs(int panels, std::int64_t rows) {
    if (Dot::template kDecodesTwo<format> && rows <= decoded_in_registers<Dot, format>(panels)) return 512;
    return rows <= 12 ? 64 : rows <= 24 ? 128 : Dot::kBulkPairs;
}

// Pairs are cut in chunks alike, for a chunk fetches as many pairs of the next as it multiplies; in even
// ones, for codes are decoded by twos.
SLUICE_SIMD std::int64_t even_chunk(std::int64_t pairs, std::int64_t most) {
    const std::int64_t chunks = (pairs + most - 1) / most;
    return ((pairs + chunks - 1) / chunks + 1) / 2 * 2;
}

// Whether so many panels side by side are best for these rows: as many as the registers hold all rows for,
// else the width for many rows.
template <class Dot, Format format>
bool suits(int panels, std::int64_t rows) {
    if (rows <= most_rows<Dot, format>(panels)) return true;
    if (Dot::template kDecodesTwo<format> && rows <= decoded_in_registers<Dot, format>(panels))
        return panels <= 2;
    return panels <= Dot::kBulkPanels;
}

// Panels that are multiplied after these, side by side.
struct Following {
    const std::byte* panels;
    std::int64_t panel_bytes, count;
};

// What sweep i of so many fetches while it multiplies: a single one the next pairs of every panel; of several
// each a panel of what comes next, `step` bytes a pair, and its share of those that are left. An uneven load
// stalls the sweep that has more of it.
SLUICE_SIMD void share_fetches(BlockTask& t, const Following& next, std::int64_t step, std::int64_t i,
                               std::int64_t sweeps, int panels) {
    const std::int64_t left = next.count - sweeps;
    t.one_sweep = sweeps == 1;
    const bool fetches = t.one_sweep ? next.count >= panels : i < next.count;
    t.ahead = t.ahead_too = fetches ? next.panels + i * next.panel_bytes : t.w;
    t.ahead_panel_bytes = fetches ? next.panel_bytes : 0;
    t.ahead_step = t.ahead_too_step = fetches ? step : 0;
    if (t.one_sweep || left <= 0) return;
    if (left >= sweeps) {
        t.ahead_too = t.ahead + sweeps * next.panel_bytes;
    } else {
        t.ahead_too = next.panels + sweeps * next.panel_bytes + (t.end - t.begin) * step * i / sweeps;
        t.ahead_too_step = step / sweeps;
    }
}

template <class Dot, Format format, int panels>
SLUICE_SIMD void sweep_rows(const TileTask& t, const BlockTask& block, const Following& ahead,
                            std::int64_t source_step) {
    constexpr int kRows = most_rows<Dot, format>(panels);
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
        share_fetches(part, ahead, source_step, i, tiles, panels);
        multiply_rows<Dot, format, panels, kRows>(static_cast<int>(end - row), part);
        row = end;
    }
}

template <class Dot, Format format, int panels>
SLUICE_SIMD void decode_chunk(const BlockTask& block, std::byte* out) {
    constexpr std::int64_t kTo = pair_bytes(Dot::kDecoded);
    constexpr int kCount = kPairsAtOnce<Dot, format>;
    const std::int64_t pairs = block.end - block.begin;
    const auto decode = [&]<int count>(const std::byte* w) {
        typename Dot::Pair pair[count];
        Dot::template load_pairs<format, count>(w, pair);
        for (int i = 0; i < count; ++i, out += kTo) Dot::store_pair(out, pair[i]);
    };
    for (int p = 0; p < panels; ++p) {
        const std::byte* w = block.w + p * block.panel_bytes;
        std::int64_t i = 0;
        for (; i + kCount <= pairs; i += kCount, w += kCount * pair_bytes(format))
            decode.template operator()<kCount>(w);
        if (i < pairs) decode.template operator()<1>(w);
    }
}

// With `rows` and panels of a group known, what comes after the task's segment s of it; `gate`: after the
// gate's part of it.
SLUICE_SIMD Following following(const TileTask& t, int s, bool gate, std::int64_t panel, int panels) {
    const Segment& same = t.segment[s + 1 < t.segments ? s + 1 : 0];
    if (s + 1 < t.segments) return {same.panels + panel * same.panel_bytes, same.panel_bytes, panels};
    if (gate) return {same.panels + (panel + t.gated_panels) * same.panel_bytes, same.panel_bytes, panels};
    const std::int64_t next = panel + panels, left = t.first_panel + t.panels - next;
    if (left <= 0) return {t.after, t.after_panel_bytes, t.after_panels < panels ? t.after_panels : panels};
    return {same.panels + next * same.panel_bytes, same.panel_bytes, left < panels ? left : panels};
}

// How many pairs ahead a single sweep prefetches each of its panels: 8 KiB over all of them.
template <Format format>
constexpr std::int64_t ahead_pairs(int panels) {
    return 8192 / panels / pair_bytes(format);
}

// What is prefetched while pairs [i, i + count) are multiplied: by several sweeps as many pairs of what comes
// next, by a single one those a little further on, but where eight panels are read side by side: of bfloat16
// the hardware then does it better. Of float32, every other line.
template <Format format>
SLUICE_SIMD Following look_ahead(const Segment& s, std::int64_t panel, int panels, std::int64_t i,
                                 std::int64_t count, bool one_sweep, const Following& next) {
    const std::int64_t pairs = s.block_pair[s.blocks], last = pairs - count;
    const std::int64_t end = i + (one_sweep ? ahead_pairs<format>(panels) : count);
    if (end < pairs) {
        if (one_sweep && panels > 4 && pair_bytes(format) > 32) return {};
        const std::int64_t at = end < last ? end : last;
        return {s.panels + panel * s.panel_bytes + at * pair_bytes(format), s.panel_bytes, panels};
    }
    if (count * pair_bytes(format) > next.panel_bytes) return {};
    return next;
}

// The codes hold 0 for NaN: what such columns give is NaN, whatever the row.
SLUICE_SIMD void spoil_columns(const std::uint16_t* nan_columns, int panels, std::int64_t rows,
                               float* totals) {
    for (std::int64_t column = 0; column < panels * kPanel; ++column) {
        if ((nan_columns[column / kPanel] >> column % kPanel & 1) == 0) continue;
        for (std::int64_t r = 0; r < rows; ++r) totals[r * panels * kPanel + column] = __builtin_nanf("");
    }
}

// Panels [panel, panel + panels) of one segment into totals [rows][panels * 16].
template <class Dot, Format format, int panels>
void multiply_panels(const TileTask& t, const Segment& s, std::int64_t panel, const Following& next,
                     float* totals) {
    constexpr bool kCoded = format == Format::Fp8 || format == Format::Int8;
    static_assert(Dot::kBulkPanels <= kChunkPanels && Dot::kBulkPairs <= kChunkPairs);
    constexpr std::int64_t kAheadPairs = ahead_pairs<format>(panels);
    const bool one_sweep = t.rows <= most_rows<Dot, format>(panels);
    auto* scratch = static_cast<float*>(t.scratch);
    auto* decoded = reinterpret_cast<std::byte*>(scratch + kDecodedAt);
    const std::int64_t pairs = s.block_pair[s.blocks];
    const std::int64_t chunk = even_chunk(pairs, chunk_pairs<Dot, format>(panels, t.rows));
    int b = 0;  // the block of pair i
    for (std::int64_t i = 0, count; i < pairs; i += count) {
        const std::int64_t left = pairs - i;
        const std::int64_t most = !one_sweep ? chunk : left > kAheadPairs ? left - kAheadPairs : left;
        count = left < most ? left : most;
        while (s.block_pair[b + 1] <= i) ++b;
        BlockTask block{};  // no call of a constructor that every set would share
        block.w = s.panels + panel * s.panel_bytes + i * pair_bytes(format);
        block.panel_bytes = s.panel_bytes;
        block.x = static_cast<const typename Dot::X*>(t.x) + 2 * (s.first_pair + i);
        block.x_stride = t.x_stride;
        block.begin = i;
        block.end = i + count;
        block.ends = s.block_pair + b + 1;
        block.begins = i == s.block_pair[b];
        block.sums = kCoded ? scratch + kBlockSumsAt : totals;
        block.sums_stride = panels * kPanel;
        block.totals = totals;
        block.first = b == 0;
        const Following ahead = look_ahead<format>(s, panel, panels, i, count, one_sweep, next);
        if constexpr (kCoded) {
            block.w_scales = s.scales + (panel * s.blocks + b) * s.scale_width;
            block.w_scale_stride = s.blocks * s.scale_width;
            block.w_scale_width = s.scale_width;
            if (t.x_scales != nullptr) block.x_scales = t.x_scales + s.first_block + b;
            block.x_scale_stride = t.x_scale_stride;
            if (t.rows > decoded_in_registers<Dot, format>(panels)) {
                decode_chunk<Dot, format, panels>(block, decoded);
                block.w = decoded;
                block.panel_bytes = count * pair_bytes(Dot::kDecoded);
                sweep_rows<Dot, Dot::kDecoded, panels>(t, block, ahead, pair_bytes(format));
                continue;
            }
        }
        sweep_rows<Dot, format, panels>(t, block, ahead, pair_bytes(format));
    }
    if (s.nan_columns != nullptr) spoil_columns(s.nan_columns + panel, panels, t.rows, totals);
}

// into += from
template <class Dot>
SLUICE_SIMD void add_totals(const float* from, float* into, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += kPanel)
        Dot::store(into + i, Dot::add(Dot::load(into + i), Dot::load(from + i)));
}

// The sum over the task's segments, which begins the totals: a bottom-up binary tree, as a binary counter.
// What waits for its right-hand neighbour lies in slots one behind the other; at the end it is added from the
// right.
template <class Dot, Format format, int panels>
SLUICE_SIMD void sum_segments(const TileTask& t, std::int64_t panel) {
    float* const totals = static_cast<float*>(t.scratch) + kTotalsAt;
    const std::int64_t count = t.rows * panels * kPanel;
    int waiting = 0;
    for (int s = 0; s < t.segments; ++s) {
        multiply_panels<Dot, format, panels>(t, t.segment[s], panel, following(t, s, false, panel, panels),
                                             totals + waiting * kTotals);
        int slot = waiting;
        for (int bit = s; bit & 1; bit >>= 1, --slot)
            add_totals<Dot>(totals + slot * kTotals, totals + (slot - 1) * kTotals, count);
        waiting = slot + 1;
    }
    for (; waiting > 1; --waiting)
        add_totals<Dot>(totals + (waiting - 1) * kTotals, totals + (waiting - 2) * kTotals, count);
}

template <class Dot>
SLUICE_SIMD int columns_of(const TileTask& t, std::int64_t panel) {
    const std::int64_t left = t.columns - panel * kPanel;
    return left < kPanel ? static_cast<int>(left) : kPanel;
}

// The outputs' lines, on their way while the group is multiplied: or else stores wait for them, one after the
// other.
template <class Dot>
SLUICE_SIMD void fetch_out(const TileTask& t, std::int64_t panel, int panels) {
    for (std::int64_t r = 0; r < t.rows; ++r) {
        const float* out = t.out + r * t.out_stride + panel * kPanel;
        for (int p = 0; p < panels; ++p) Dot::prefetch_to_write(out + p * kPanel);
    }
}

template <class Dot>
SLUICE_SIMD void write_out(const TileTask& t, std::int64_t panel, int panels) {
    const float* totals = static_cast<const float*>(t.scratch) + kTotalsAt;
    for (std::int64_t r = 0; r < t.rows; ++r) {
        float* out = t.out + r * t.out_stride + panel * kPanel;
        for (int p = 0; p < panels; ++p, totals += kPanel, out += kPanel) {
            const int valid = columns_of<Dot>(t, panel + p);
            if (valid == kPanel)
                Dot::store(out, Dot::load(totals));
            else
                Dot::store_some(out, Dot::load(totals), valid);
        }
    }
}

// The first slot holds the gate's columns, the second those it gates.
template <class Dot, Activation kind>
SLUICE_SIMD void write_gated(const TileTask& t, std::int64_t panel, int panels) {
    const float* gate = static_cast<const float*>(t.scratch) + kTotalsAt;
    for (std::int64_t r = 0; r < t.rows; ++r) {
        float* out = t.out + r * t.out_stride + panel * kPanel;
        for (int p = 0; p < panels; ++p, gate += kPanel, out += kPanel) {
            const auto activated = Gate<Dot, kind>::activate(Dot::load(gate));
            Dot::store(out, Dot::mul(activated, Dot::load(gate + kTotals)));
        }
    }
}

template <class Dot, Format format, int panels>
void multiply_group(const TileTask& t, std::int64_t panel) {
    fetch_out<Dot>(t, panel, panels);
    if (t.gated_panels == 0) {
        sum_segments<Dot, format, panels>(t, panel);
        return write_out<Dot>(t, panel, panels);
    }
    float* const totals = static_cast<float*>(t.scratch) + kTotalsAt;
    multiply_panels<Dot, format, panels>(t, *t.segment, panel, following(t, 0, true, panel, panels), totals);
    multiply_panels<Dot, format, panels>(t, *t.segment, panel + t.gated_panels,
                                         following(t, 0, false, panel, panels), totals + kTotals);
    if (t.activation == Activation::Silu)
        write_gated<Dot, Activation::Silu>(t, panel, panels);
    else
        write_gated<Dot, Activation::GeluTanh>(t, panel, panels);
}

template <class Dot, Format format, int panels>
void multiply_format(const TileTask& t, std::int64_t panel) {
    if constexpr (most_rows<Dot, format>(panels) > 0) {
        const bool fits = suits<Dot, format>(panels, t.rows);
        for (; fits && t.first_panel + t.panels - panel >= panels; panel += panels)
            multiply_group<Dot, format, panels>(t, panel);
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
void gate_row(Activation kind, const float* x, std::int64_t width, float* out) {
    if (kind == Activation::Silu)
        Gate<Dot, Activation::Silu>::row(x, x + width, width, out);
    else
        Gate<Dot, Activation::GeluTanh>::row(x, x + width, width, out);
}

template <class Dot>
inline constexpr ProductIsa kProductOf = {sizeof(typename Dot::X), &convert_row<Dot>, &multiply_tile<Dot>,
                                          &gate_row<Dot>};

}  // namespace sluice::kernels::cpu
