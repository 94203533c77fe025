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
    if (Dot::template kDecodesTwo<format>) return panels > 2 ? 4 : 12;
    constexpr int kMost = Dot::kAccumulators / Dot::kBulkPanels;
    return Dot::kAccumulators / panels < kMost ? Dot::kAccumulators / panels : kMost;
}

// Panels of a register tile, for a run of so many: as many as the registers hold with all rows, else as many
// as are best for many rows.
template <class Dot, Format format>
constexpr int tile_panels(int run, std::int64_t rows) {
    for (int panels = run; panels > 0; panels /= 2)
        if (rows <= most_rows<Dot, format>(panels)) return panels;
    const int most = Dot::template kDecodesTwo<format> ? 2 : Dot::kBulkPanels;
    return run < most ? run : most;
}

// Up to how many rows a weight's codes are decoded with every sweep, in registers; for more, once, to memory.
template <class Dot, Format format>
constexpr int decoded_in_registers(int run, std::int64_t rows) {
    return Dot::template kDecodesTwo<format> ? 24
                                             : most_rows<Dot, format>(tile_panels<Dot, format>(run, rows));
}

// Pairs that several sweeps multiply before the next ones: what they read again should lie in the first-level
// cache, but every sweep has its own beginning and end. Codes are small; by many rows the second level will
// do.
template <class Dot, Format format>
constexpr std::int64_t chunk_pairs(std::int64_t rows) {
    if (Dot::template kDecodesTwo<format> && rows <= decoded_in_registers<Dot, format>(kGroup, rows))
        return 512;
    return rows <= 12 ? 64 : rows <= 16 ? 128 : Dot::kBulkPairs;
}

// Pairs are cut in chunks alike, for a chunk fetches as many pairs of the next as it multiplies; in even
// ones, for codes lie two pairs a line.
SLUICE_SIMD std::int64_t even_chunk(std::int64_t pairs, std::int64_t most) {
    const std::int64_t chunks = (pairs + most - 1) / most;
    return ((pairs + chunks - 1) / chunks + 1) / 2 * 2;
}

// Panels of one group that are multiplied after these.
struct Following {
    Lines lines;
    std::int64_t panels, pairs;
};

// What sweep i of so many, of `lines` lines each, fetches while it multiplies: a single one the next line of
// every panel; of several each its share of `bytes` bytes, those of other panels of a group among them. An
// uneven load stalls the sweep that has more of it.
SLUICE_SIMD void share_fetches(BlockTask& t, const Following& next, std::int64_t bytes, std::int64_t lines,
                               std::int64_t i, std::int64_t sweeps, int panels) {
    t.one_sweep = sweeps == 1;
    t.ahead_too = 0;
    if (next.panels < (t.one_sweep ? panels : 1)) {
        t.ahead = {t.w.first, 0};
    } else if (t.one_sweep) {
        t.ahead = next.lines;
    } else {
        t.ahead = {next.lines.first + bytes * i / sweeps, bytes / (sweeps * lines)};
        if (t.ahead.step > 64) t.ahead_too = 64;
    }
}

// `run` panels side by side, as tiles of some of them and some rows. `stored`: the format of what is fetched.
template <class Dot, Format format, Format stored, int run, int panels>
SLUICE_SIMD void sweep_tiles(const TileTask& t, const BlockTask& block, const Following& ahead) {
    constexpr int kRows = most_rows<Dot, format>(panels);
    const std::int64_t tiles = (t.rows + kRows - 1) / kRows, sweeps = tiles * (run / panels);
    const std::int64_t pairs = block.end - block.begin;
    const std::int64_t bytes = pairs / line_pairs(stored) * ahead.lines.step;
    std::int64_t sweep = 0;
    for (int p = 0; p < run; p += panels) {
        std::int64_t row = 0;
        for (std::int64_t i = 0; i < tiles; ++i, ++sweep) {
            const std::int64_t end = t.rows * (i + 1) / tiles;
            BlockTask part = block;
            part.w.first += p * line_bytes(format);
            part.x = static_cast<const typename Dot::X*>(block.x) + row * t.x_stride;
            part.sums += row * block.sums_stride + p * kPanel;
            part.totals += row * block.sums_stride + p * kPanel;
            if (part.w_scales != nullptr) part.w_scales += p * block.w_scale_stride;
            if (part.x_scales != nullptr) part.x_scales += row * t.x_scale_stride;
            share_fetches(part, ahead, bytes, pairs / line_pairs(format), sweep, sweeps, panels);
            multiply_rows<Dot, format, panels, kRows>(static_cast<int>(end - row), part);
            row = end;
        }
    }
}

template <class Dot, Format format, Format stored, int run, int panels = run>
SLUICE_SIMD void sweep(const TileTask& t, const BlockTask& block, const Following& ahead) {
    if constexpr (panels > 1) {
        if (tile_panels<Dot, format>(run, t.rows) < panels)
            return sweep<Dot, format, stored, run, panels / 2>(t, block, ahead);
    }
    if constexpr (most_rows<Dot, format>(panels) > 0)
        sweep_tiles<Dot, format, stored, run, panels>(t, block, ahead);
}

// The task's pairs of `run` panels to `out`, decoded: [pairs][panels].
template <class Dot, Format format, int run>
SLUICE_SIMD void decode_chunk(const BlockTask& block, std::byte* out) {
    constexpr std::int64_t kTo = line_bytes(Dot::kDecoded);
    constexpr int kCount = kPairsAtOnce<Dot, format>;
    const std::byte* w = block.w.first;
    for (std::int64_t i = block.begin; i < block.end; i += line_pairs(format), w += block.w.step) {
#pragma GCC unroll 4
        for (int p = 0; p < run; ++p) {
            for (int j = 0; j < line_pairs(format); j += kCount) {
                typename Dot::Pair pair[kCount];
                Dot::template load_pairs<format, kCount>(w + p * line_bytes(format) + j * pair_bytes(format),
                                                         pair);
                for (int k = 0; k < kCount; ++k) Dot::store_pair(out + ((j + k) * run + p) * kTo, pair[k]);
            }
        }
        out += line_pairs(format) * run * kTo;
    }
}

// Panels from `panel` on that are multiplied together: of one group, and likewise those that they gate.
SLUICE_SIMD int run_from(const TileTask& t, std::int64_t panel) {
    std::int64_t most = t.first_panel + t.panels - panel;
    const std::int64_t beside = panels_beside(*t.segment, panel);
    if (beside < most) most = beside;
    if (t.gated_panels > 0) {
        const std::int64_t gated = panels_beside(*t.segment, panel + t.gated_panels);
        if (gated < most) most = gated;
    }
    return most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

template <Format format>
SLUICE_SIMD Following following_at(const Segment& s, std::int64_t panel, std::int64_t panels) {
    const std::int64_t beside = panels_beside(s, panel);
    return {lines_of(s, format, panel), panels < beside ? panels : beside, s.block_pair[s.blocks]};
}

// What comes after a run in the task's segment s of it; `gate`: after the gate's part of it.
template <Format format>
SLUICE_SIMD Following following(const TileTask& t, int s, bool gate, std::int64_t panel, int run) {
    if (s + 1 < t.segments) return following_at<format>(t.segment[s + 1], panel, run);
    if (gate) return following_at<format>(*t.segment, panel + t.gated_panels, run);
    const std::int64_t next = panel + run;
    if (next < t.first_panel + t.panels) return following_at<format>(*t.segment, next, run_from(t, next));
    if (t.after == nullptr) return {};
    return following_at<format>(*t.after, t.after_panel, t.after_panels);
}

// How many pairs ahead a single sweep prefetches each of its panels: 8 KiB over all of them.
template <Format format>
[[gnu::always_inline]] constexpr std::int64_t ahead_pairs(int panels) {
    return 8192 / panels / pair_bytes(format);
}

// What is prefetched while pairs [i, i + count) are multiplied: by several sweeps as many pairs of what comes
// next, by a single one those a little further on.
template <Format format>
SLUICE_SIMD Following look_ahead(const Segment& s, Lines lines, int run, std::int64_t i, std::int64_t count,
                                 bool one_sweep, const Following& next) {
    const std::int64_t pairs = s.block_pair[s.blocks], last = pairs - count;
    const std::int64_t end = i + (one_sweep ? ahead_pairs<format>(run) : count);
    if (end < pairs) {
        const std::int64_t at = (end < last ? end : last) / line_pairs(format);
        return {{lines.first + at * lines.step, lines.step}, run, pairs};
    }
    if (count > next.pairs) return {};
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

// `run` panels of a group, from `panel` on, of one segment into totals [rows][run * 16].
template <class Dot, Format format, int run>
void multiply_run(const TileTask& t, const Segment& s, std::int64_t panel, const Following& next,
                  float* totals) {
    constexpr bool kCoded = format == Format::Fp8 || format == Format::Int8;
    static_assert(Dot::kBulkPanels <= kGroup && Dot::kBulkPairs <= kChunkPairs);
    constexpr std::int64_t kAheadPairs = ahead_pairs<format>(run);
    const bool one_sweep = t.rows <= most_rows<Dot, format>(run);
    auto* scratch = static_cast<float*>(t.scratch);
    auto* decoded = reinterpret_cast<std::byte*>(scratch + kDecodedAt);
    const Lines lines = lines_of(s, format, panel);
    const std::int64_t pairs = s.block_pair[s.blocks];
    const std::int64_t chunk = even_chunk(pairs, chunk_pairs<Dot, format>(t.rows));
    int b = 0;  // the block of pair i
    for (std::int64_t i = 0, count; i < pairs; i += count) {
        const std::int64_t left = pairs - i;
        const std::int64_t most = !one_sweep ? chunk : left > kAheadPairs ? left - kAheadPairs : left;
        count = left < most ? left : most;
        while (s.block_pair[b + 1] <= i) ++b;
        BlockTask block{};  // no call of a constructor that every set would share
        block.w = {lines.first + i / line_pairs(format) * lines.step, lines.step};
        block.x = static_cast<const typename Dot::X*>(t.x) + 2 * (s.first_pair + i);
        block.x_stride = t.x_stride;
        block.begin = i;
        block.end = i + count;
        block.ends = s.block_pair + b + 1;
        block.begins = i == s.block_pair[b];
        block.sums = kCoded ? scratch + kBlockSumsAt : totals;
        block.sums_stride = run * kPanel;
        block.totals = totals;
        block.first = b == 0;
        const Following ahead = look_ahead<format>(s, lines, run, i, count, one_sweep, next);
        if constexpr (kCoded) {
            block.w_scales = s.scales + (panel * s.blocks + b) * s.scale_width;
            block.w_scale_stride = s.blocks * s.scale_width;
            block.w_scale_width = s.scale_width;
            if (t.x_scales != nullptr) block.x_scales = t.x_scales + s.first_block + b;
            block.x_scale_stride = t.x_scale_stride;
            if (t.rows > decoded_in_registers<Dot, format>(run, t.rows)) {
                decode_chunk<Dot, format, run>(block, decoded);
                block.w = {decoded, run * line_bytes(Dot::kDecoded)};
                sweep<Dot, Dot::kDecoded, format, run>(t, block, ahead);
                continue;
            }
        }
        sweep<Dot, format, format, run>(t, block, ahead);
    }
    if (s.nan_columns != nullptr) spoil_columns(s.nan_columns + panel, run, t.rows, totals);
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
template <class Dot, Format format, int run>
SLUICE_SIMD void sum_segments(const TileTask& t, std::int64_t panel) {
    float* const totals = static_cast<float*>(t.scratch) + kTotalsAt;
    const std::int64_t count = t.rows * run * kPanel;
    int waiting = 0;
    for (int s = 0; s < t.segments; ++s) {
        multiply_run<Dot, format, run>(t, t.segment[s], panel, following<format>(t, s, false, panel, run),
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

template <class Dot, Format format, int run>
void finish_run(const TileTask& t, std::int64_t panel) {
    fetch_out<Dot>(t, panel, run);
    if (t.gated_panels == 0) {
        sum_segments<Dot, format, run>(t, panel);
        return write_out<Dot>(t, panel, run);
    }
    float* const totals = static_cast<float*>(t.scratch) + kTotalsAt;
    multiply_run<Dot, format, run>(t, *t.segment, panel, following<format>(t, 0, true, panel, run), totals);
    multiply_run<Dot, format, run>(t, *t.segment, panel + t.gated_panels,
                                   following<format>(t, 0, false, panel, run), totals + kTotals);
    if (t.activation == Activation::Silu)
        write_gated<Dot, Activation::Silu>(t, panel, run);
    else
        write_gated<Dot, Activation::GeluTanh>(t, panel, run);
}

template <class Dot, Format format>
void multiply_format(const TileTask& t) {
    const std::int64_t end = t.first_panel + t.panels;
    for (std::int64_t panel = t.first_panel, run; panel < end; panel += run) {
        run = run_from(t, panel);
        if (run == 4)
            finish_run<Dot, format, 4>(t, panel);
        else if (run == 2)
            finish_run<Dot, format, 2>(t, panel);
        else
            finish_run<Dot, format, 1>(t, panel);
    }
}

template <class Dot>
void multiply_tile(const TileTask& t) {
    if (t.format == Format::Bf16) return multiply_format<Dot, Format::Bf16>(t);
    if (t.format == Format::Fp8) return multiply_format<Dot, Format::Fp8>(t);
    if (t.format == Format::Int8) return multiply_format<Dot, Format::Int8>(t);
    if constexpr (Dot::kDecoded == Format::F32) multiply_format<Dot, Format::F32>(t);
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
