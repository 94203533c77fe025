#include "kernels/cpu/pack.hpp"

#include "kernels/cpu/interleave.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/grid.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice::kernels::cpu {
namespace {

struct Place {  // where one part's rows go
    const WeightPart* part;
    const Segment* segment;
    std::byte* values;           // the segment's
    float* scales;               // the segment's
    std::uint16_t* nan_columns;  // likewise
    std::int64_t panel_of(std::int64_t n) const { return (part->row + n) / kPanel; }
    std::int64_t lane_of(std::int64_t n) const { return (part->row + n) % kPanel; }
};

OwnLines own_lines(const Segment& segment, Format format, std::int64_t panel, std::byte* values) {
    const Lines lines = lines_of(segment, format, panel);
    return {values + (lines.first - segment.values), lines.step};
}

std::byte* pair_at(OwnLines lines, Format format, std::int64_t pair) {
    return lines.first + pair / line_pairs(format) * lines.step +
           pair % line_pairs(format) * pair_bytes(format);
}

// Calls take(n, k, where (n, k) is packed) for rows [first, last) of a part, all in one panel, and
// the columns of block b from `begin` on, the first of a pair. In steps of 16 pairs, so that both a matrix
// and its transposed view are read by whole cache lines.
template <class Take>
void for_each(const Place& place, Format format, OwnLines lines, std::int64_t first, std::int64_t last, int b,
              std::int64_t begin, Take take) {
    constexpr std::int64_t kStep = 32;
    const Segment& segment = *place.segment;
    const std::int64_t element = pair_bytes(format) / (2 * kPanel);
    const bool planar = format == Format::F32;
    const std::int64_t end = segment.block_col[b + 1];
    for (std::int64_t chunk = begin; chunk < end; chunk += kStep) {
        const std::int64_t stop = std::min(end, chunk + kStep);
        for (std::int64_t n = first; n < last; ++n) {
            const std::int64_t lane = place.lane_of(n);
            for (std::int64_t half = 0; half < 2; ++half) {
                std::int64_t pair = segment.block_pair[b] + (chunk - segment.block_col[b]) / 2;
                const std::int64_t at = (planar ? half * kPanel + lane : lane * 2 + half) * element;
                for (std::int64_t k = chunk + half; k < stop; k += 2, ++pair)
                    take(n, k, pair_at(lines, format, pair) + at);
            }
        }
    }
}

template <class T>
T source(const HostMatrix& m, std::int64_t n, std::int64_t k) {
    return static_cast<const T*>(m.values)[n * m.row_stride + k * m.col_stride];
}

template <class T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof(value));
}

void pack_scales(const Place& place, std::int64_t first, std::int64_t last) {
    const HostMatrix& m = place.part->matrix;
    const Segment& segment = *place.segment;
    const bool each = segment.scale_width > 1;
    float* scales = place.scales + place.panel_of(first) * segment.blocks * segment.scale_width;
    for (int b = 0; b < segment.blocks; ++b, scales += segment.scale_width) {
        const std::int64_t k = segment.block_col[b] + m.col_offset;
        for (std::int64_t n = first; n < (each ? last : first + 1); ++n) {
            scales[each ? place.lane_of(n) : 0] =
                m.scales[(n + m.row_offset) / m.block_rows * m.scale_row_stride +
                         k / m.block_cols * m.scale_col_stride];
        }
    }
}

// Codes as they are, but for NaN: that becomes code 0 and a mark on its column, so the decoding in the inner
// loops need not know it. Whoever packs a panel is alone with its marks.
fp8 finite_code(const Place& place, std::int64_t n, std::int64_t k) {
    const fp8 code = source<fp8>(place.part->matrix, n, k);
    if ((code & 0x7fU) != 0x7fU) return code;
    std::uint16_t& marks = place.nan_columns[place.panel_of(n)];
    marks = static_cast<std::uint16_t>(marks | 1U << place.lane_of(n));
    return 0;
}

bool has_nan(const fp8* codes, std::int64_t count) {
    std::uint8_t found = 0;  // its highest bit: a magnitude of 0x7f
    for (std::int64_t i = 0; i < count; ++i)
        found = static_cast<std::uint8_t>(found | ((codes[i] & 0x7fU) + 1));
    return (found & 0x80U) != 0;
}

// One value after another, for whatever is not packed by whole panels.
void pack_each(const Place& place, Format format, OwnLines lines, std::int64_t first, std::int64_t last,
               int b, std::int64_t begin) {
    const HostMatrix& m = place.part->matrix;
    using Index = std::int64_t;
    const auto each = [&](auto value) {
        for_each(place, format, lines, first, last, b, begin,
                 [&](Index n, Index k, std::byte* at) { put(at, value(n, k)); });
    };
    if (format == Format::Fp8) return each([&](Index n, Index k) { return finite_code(place, n, k); });
    if (format == Format::Int8) return each([&](Index n, Index k) { return source<std::int8_t>(m, n, k); });
    if (format == Format::F32) return each([&](Index n, Index k) { return m.at(n, k); });
    if (m.dtype == DType::BF16 && m.scales == nullptr)
        return each([&](Index n, Index k) { return source<bf16>(m, n, k); });
    each([&](Index n, Index k) { return to_bf16(m.at(n, k)); });
}

const std::array<float, 256>& fp8_values() {
    static const std::array<float, 256> values = [] {
        std::array<float, 256> all{};
        for (unsigned code = 0; code < all.size(); ++code) all[code] = fp8_to_float(static_cast<fp8>(code));
        return all;
    }();
    return values;
}

// Columns [begin, end) of row n, all of one scale block, rounded.
void round_run(const HostMatrix& m, std::int64_t n, std::int64_t begin, std::int64_t end, float scale,
               bf16* out) {
    const auto each = [&](auto first, auto value) {
        const auto* at = static_cast<const decltype(first)*>(m.values) + n * m.row_stride;
        for (std::int64_t k = begin; k < end; ++k) *out++ = to_bf16(value(at[k * m.col_stride]) * scale);
    };
    if (m.dtype == DType::F32) return each(float{}, [](float v) { return v; });
    if (m.dtype == DType::BF16) return each(bf16{}, [](bf16 v) { return to_float(v); });
    if (m.dtype == DType::I8) return each(std::int8_t{}, [](std::int8_t v) { return static_cast<float>(v); });
    each(fp8{}, [&table = fp8_values()](fp8 v) { return table[v]; });
}

// Columns [begin, end) of row n, rounded: those of one scale block after another.
void round_row(const HostMatrix& m, std::int64_t n, std::int64_t begin, std::int64_t end, bf16* out) {
    if (m.scales == nullptr) return round_run(m, n, begin, end, 1, out);
    const float* scales = m.scales + (n + m.row_offset) / m.block_rows * m.scale_row_stride;
    while (begin < end) {
        const std::int64_t block = (begin + m.col_offset) / m.block_cols;
        const std::int64_t stop = std::min(end, (block + 1) * m.block_cols - m.col_offset);
        round_run(m, n, begin, stop, scales[block * m.scale_col_stride], out);
        out += stop - begin;
        begin = stop;
    }
}

// Whether rows need only be transposed: their values are kept as they are, and lie side by side.
bool is_copied(const HostMatrix& m, Format format) {
    const bool kept = format == Format::Fp8 || format == Format::Int8 ||
                      (format == Format::Bf16 && m.dtype == DType::BF16 && m.scales == nullptr);
    return kept && m.col_stride == 1;
}

// Columns [begin, end) of a whole panel, an even number, from row `first` on. False for e4m3 with a NaN.
bool copy_panel(const Place& place, Format format, std::int64_t first, std::int64_t begin, std::int64_t end,
                OwnLines out) {
    const HostMatrix& m = place.part->matrix;
    const auto element = static_cast<std::int64_t>(size_of(m.dtype));
    const std::byte* rows[kPanel];
    for (int lane = 0; lane < kPanel; ++lane) {
        rows[lane] =
            static_cast<const std::byte*>(m.values) + ((first + lane) * m.row_stride + begin) * element;
        if (format == Format::Fp8 && has_nan(reinterpret_cast<const fp8*>(rows[lane]), end - begin))
            return false;
    }
    if (format == Format::Bf16) {
        Interleave<std::uint32_t>::run(rows, (end - begin) / 2, out);
    } else {
        Interleave<std::uint16_t>::run(rows, (end - begin) / 2, out);
    }
    return true;
}

// The same for values that become bfloat16, a tile at a time. They are read as they lie in memory.
void round_panel(const HostMatrix& m, std::int64_t first, std::int64_t begin, std::int64_t end,
                 OwnLines out) {
    constexpr std::int64_t kCols = 64;
    bf16 tile[kPanel][kCols];
    const std::byte* rows[kPanel];
    for (int lane = 0; lane < kPanel; ++lane) rows[lane] = reinterpret_cast<const std::byte*>(tile[lane]);
    const HostMatrix turned = m.transposed();
    for (; begin < end; begin += kCols, out.first += kCols / 2 * out.step) {
        const std::int64_t stop = std::min(end, begin + kCols);
        if (m.col_stride == 1) {
            for (int lane = 0; lane < kPanel; ++lane) round_row(m, first + lane, begin, stop, tile[lane]);
        } else {
            for (std::int64_t k = begin; k < stop; ++k) {
                bf16 column[kPanel];
                round_row(turned, k, first, first + kPanel, column);
                for (int lane = 0; lane < kPanel; ++lane) tile[lane][k - begin] = column[lane];
            }
        }
        Interleave<std::uint32_t>::run(rows, (stop - begin) / 2, out);
    }
}

// The whole pairs of block b of a whole panel, by transposition. Returns the column from which on nothing is
// packed yet.
std::int64_t pack_pairs(const Place& place, Format format, OwnLines lines, std::int64_t first, int b) {
    const HostMatrix& m = place.part->matrix;
    const std::int64_t begin = place.segment->block_col[b];
    const std::int64_t end = begin + (place.segment->block_col[b + 1] - begin) / 2 * 2;
    const OwnLines out{pair_at(lines, format, place.segment->block_pair[b]), lines.step};
    if (is_copied(m, format)) return copy_panel(place, format, first, begin, end, out) ? end : begin;
    if (format != Format::Bf16) return begin;
    round_panel(m, first, begin, end, out);
    return end;
}

void pack_rows(const Place& place, Format format, std::int64_t first, std::int64_t last) {
    const OwnLines lines = own_lines(*place.segment, format, place.panel_of(first), place.values);
    if (place.scales != nullptr) pack_scales(place, first, last);
    for (int b = 0; b < place.segment->blocks; ++b) {
        std::int64_t begin = place.segment->block_col[b];
        if (last - first == kPanel) begin = pack_pairs(place, format, lines, first, b);
        if (begin < place.segment->block_col[b + 1]) pack_each(place, format, lines, first, last, b, begin);
    }
}

Format format_of(const PackArgs& args, const PartGrid& grid) {
    if (grid.quantised) return grid.codes == DType::I8 ? Format::Int8 : Format::Fp8;
    return kept_as_bf16(args) ? Format::Bf16 : Format::F32;
}

std::size_t value_bytes(const CpuWeight& weight) {
    return static_cast<std::size_t>(weight.panels * weight.pairs * pair_bytes(weight.format));
}

std::size_t scale_count(const CpuWeight& weight) {
    return static_cast<std::size_t>(weight.blocks * weight.panels * weight.segment.front().scale_width);
}

std::size_t mark_count(const CpuWeight& weight) {
    return weight.format == Format::Fp8 ? static_cast<std::size_t>(weight.segments * weight.panels) : 0;
}

// Of a k block.
std::int64_t padded_pairs(Format format, std::int64_t cols) {
    const std::int64_t line_cols = 2 * line_pairs(format);
    return (cols + line_cols - 1) / line_cols * line_pairs(format);
}

// Lays out segments, grid and the sizes of its memory, of which it claims none yet.
std::shared_ptr<CpuWeight> lay_out(const PackArgs& args, const PartGrid& grid) {
    auto weight = std::make_shared<CpuWeight>();
    weight->products = grid.products;
    weight->power_of_two_scales = args.power_of_two_scales;
    weight->format = format_of(args, grid);
    weight->rows = grid.rows;
    weight->segments = grid.segments;
    weight->panels = (grid.rows + kPanel - 1) / kPanel;
    weight->segment.resize(grid.block_col.size());
    for (const auto& cols : grid.block_col) {
        weight->grid.insert(weight->grid.end(), cols.begin(), cols.end());
        std::int64_t pair = 0;
        weight->grid.push_back(pair);
        for (std::size_t b = 0; b + 1 < cols.size(); ++b)
            weight->grid.push_back(pair += padded_pairs(weight->format, cols[b + 1] - cols[b]));
    }
    const bool shared_scales = grid.quantised && share_scales(args.parts, kPanel);
    const std::int64_t* at = weight->grid.data();
    for (std::size_t s = 0; s < grid.block_col.size(); ++s) {
        Segment& segment = weight->segment[s];
        segment.blocks = static_cast<int>(grid.block_col[s].size()) - 1;
        segment.block_col = at;
        segment.block_pair = at + segment.blocks + 1;
        at += 2 * (segment.blocks + 1);
        if (shared_scales) segment.scale_width = 1;
        segment.first_col = weight->cols;
        segment.cols = segment.block_col[segment.blocks];
        segment.first_block = weight->blocks;
        segment.first_pair = weight->pairs;
        segment.panels = weight->panels;
        segment.panel_bytes = segment.block_pair[segment.blocks] * pair_bytes(weight->format);
        weight->cols += segment.cols;
        weight->blocks += segment.blocks;
        weight->pairs += segment.block_pair[segment.blocks];
    }
    weight->bytes = value_bytes(*weight);
    if (grid.quantised) weight->bytes += scale_count(*weight) * sizeof(float);
    weight->bytes += mark_count(*weight) * sizeof(std::uint16_t);
    return weight;
}

// Values are still unset.
void claim(CpuWeight& weight, bool quantised) {
    weight.values = allocate_block(value_bytes(weight));
    if (quantised) weight.scales.assign(scale_count(weight), 0.0F);
    weight.nan_columns.assign(mark_count(weight), 0);
    for (Segment& segment : weight.segment) {
        segment.values = weight.values.get() + weight.panels * segment.first_pair * pair_bytes(weight.format);
        if (!quantised) continue;
        segment.scales = weight.scales.data() + segment.first_block * weight.panels * segment.scale_width;
        if (weight.format != Format::Fp8) continue;
        segment.nan_columns = weight.nan_columns.data() + weight.panels * (&segment - weight.segment.data());
    }
}

// What a segment, which may only read it, has of its weight's memory: to be written.
template <class T>
T* own(T* memory, const T* part) {
    return part == nullptr ? nullptr : memory + (part - memory);
}

// Most weights have none, and their products do not look.
void drop_empty_marks(CpuWeight& weight) {
    for (Segment& segment : weight.segment) {
        const std::uint16_t* marks = segment.nan_columns;
        if (marks == nullptr) continue;
        if (std::all_of(marks, marks + weight.panels, [](std::uint16_t columns) { return columns == 0; }))
            segment.nan_columns = nullptr;
    }
}

// Whether some of a panel's bytes are no value's.
bool has_padding(const Segment& segment, std::int64_t panel, std::int64_t rows) {
    if ((panel + 1) * kPanel > rows) return true;
    return segment.cols != 2 * segment.block_pair[segment.blocks];
}

void clear_panel(const Segment& segment, Format format, OwnLines lines) {
    const std::int64_t count = segment.panel_bytes / line_bytes(format);
    for (std::int64_t i = 0; i < count; ++i)
        std::memset(lines.first + i * lines.step, 0, static_cast<std::size_t>(line_bytes(format)));
}

}  // namespace

bool fits_pack(const PackArgs& /*args*/, const Machine& /*machine*/) { return true; }

void run_pack(const PackArgs& args, const Execution& execution) {
    const PartGrid grid = grid_of(args);
    const std::shared_ptr<CpuWeight> weight = lay_out(args, grid);
    *args.out = weight;
    if (args.sizes_only) return;
    claim(*weight, grid.quantised);
    const auto pack_panel = [&](std::int64_t task) {
        const auto s = static_cast<std::size_t>(task / weight->panels);
        const std::int64_t panel = task % weight->panels;
        const Segment& segment = weight->segment[s];
        std::byte* values = own(weight->values.get(), segment.values);
        float* scales = own(weight->scales.data(), segment.scales);
        std::uint16_t* nan_columns = own(weight->nan_columns.data(), segment.nan_columns);
        if (has_padding(segment, panel, weight->rows))
            clear_panel(segment, weight->format, own_lines(segment, weight->format, panel, values));
        for (const WeightPart& part : args.parts) {
            const std::int64_t first = std::max<std::int64_t>(panel * kPanel - part.row, 0);
            const std::int64_t last = std::min((panel + 1) * kPanel - part.row, part.matrix.rows);
            if (part.segment != static_cast<int>(s) || first >= last) continue;
            pack_rows({&part, &segment, values, scales, nan_columns}, weight->format, first, last);
        }
    };
    // Neighbours go to one thread, for threads that first touch one huge page together clear it twice.
    const std::int64_t panels = weight->panels * weight->segments;
    const std::int64_t fair = panels / (4 * std::max(execution.threads, 1));
    const std::int64_t huge_page = (2 << 20) * panels / static_cast<std::int64_t>(value_bytes(*weight) + 1);
    const std::int64_t run = std::max<std::int64_t>(std::min(fair, huge_page) / kGroup, 1) * kGroup;
    over_neighbours((panels + run - 1) / run, execution.threads, [&](std::int64_t task) {
        for (std::int64_t panel = task * run; panel < std::min(panels, (task + 1) * run); ++panel)
            pack_panel(panel);
    });
    drop_empty_marks(*weight);
}

}  // namespace sluice::kernels::cpu
