#include "kernels/cpu/pack.hpp"

#include "kernels/cpu/parallel.hpp"
#include "kernels/grid.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace sluice::kernels::cpu {
namespace {

struct Place {  // where one part's rows go
    const WeightPart* part;
    const Segment* segment;
    std::byte* panels;
    float* scales;
    std::int64_t padded_rows;
};

// Calls take(n, k, byte index of (n, k) in its panel) for rows [first, last) of a part, all in one panel. In
// steps of 16 pairs, so that both a matrix and its transposed view are read by whole cache lines.
template <class Take>
void for_each(const Place& place, Format format, std::int64_t first, std::int64_t last, Take take) {
    constexpr std::int64_t kStep = 32;
    const Segment& segment = *place.segment;
    const std::int64_t element = pair_bytes(format) / (2 * kPanel);
    const bool planar = format == Format::F32;
    for (int b = 0; b < segment.blocks; ++b) {
        const std::int64_t begin = segment.block_col[b], end = segment.block_col[b + 1];
        for (std::int64_t chunk = begin; chunk < end; chunk += kStep) {
            const std::int64_t stop = std::min(end, chunk + kStep);
            for (std::int64_t n = first; n < last; ++n) {
                const std::int64_t lane = (place.part->row + n) % kPanel;
                for (std::int64_t half = 0; half < 2; ++half) {
                    const std::int64_t pair = segment.block_pair[b] + (chunk - begin) / 2;
                    std::int64_t at = pair * pair_bytes(format) +
                                      (planar ? half * kPanel + lane : lane * 2 + half) * element;
                    for (std::int64_t k = chunk + half; k < stop; k += 2, at += pair_bytes(format))
                        take(n, k, b, at);
                }
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
    for (int b = 0; b < place.segment->blocks; ++b) {
        const std::int64_t k = place.segment->block_col[b] + m.col_offset;
        for (std::int64_t n = first; n < last; ++n) {
            place.scales[b * place.padded_rows + place.part->row + n] =
                m.scales[(n + m.row_offset) / m.block_rows * m.scale_row_stride +
                         k / m.block_cols * m.scale_col_stride];
        }
    }
}

// Codes as they are, but for NaN: that becomes code 0 with a NaN scale, so the decoding in the inner loops
// need not know it, and every product of the output is NaN as it must be.
void pack_fp8(const Place& place, std::byte* panel, std::int64_t first, std::int64_t last) {
    const HostMatrix& m = place.part->matrix;
    for_each(place, Format::Fp8, first, last, [&](std::int64_t n, std::int64_t k, int b, std::int64_t at) {
        fp8 code = source<fp8>(m, n, k);
        if ((code & 0x7fU) == 0x7fU) {
            code = 0;
            place.scales[b * place.padded_rows + place.part->row + n] =
                std::numeric_limits<float>::quiet_NaN();
        }
        put(panel + at, code);
    });
}

void pack_rows(const Place& place, Format format, std::int64_t first, std::int64_t last) {
    const HostMatrix& m = place.part->matrix;
    std::byte* panel = place.panels + (place.part->row + first) / kPanel * place.segment->panel_bytes;
    using Index = std::int64_t;
    if (place.scales != nullptr) pack_scales(place, first, last);
    if (format == Format::Fp8) {
        pack_fp8(place, panel, first, last);
    } else if (format == Format::Int8) {
        for_each(place, format, first, last,
                 [&](Index n, Index k, int, Index at) { put(panel + at, source<std::int8_t>(m, n, k)); });
    } else if (format == Format::F32) {
        for_each(place, format, first, last,
                 [&](Index n, Index k, int, Index at) { put(panel + at, m.at(n, k)); });
    } else if (m.dtype == DType::BF16 && m.scales == nullptr) {
        for_each(place, format, first, last,
                 [&](Index n, Index k, int, Index at) { put(panel + at, source<bf16>(m, n, k)); });
    } else {
        for_each(place, format, first, last,
                 [&](Index n, Index k, int, Index at) { put(panel + at, to_bf16(m.at(n, k))); });
    }
}

Format format_of(const PackArgs& args, const PartGrid& grid) {
    if (grid.quantised) return grid.codes == DType::I8 ? Format::Int8 : Format::Fp8;
    const bool exact_in_bf16 = std::all_of(args.parts.begin(), args.parts.end(), [](const WeightPart& part) {
        return part.matrix.dtype == DType::BF16 && part.matrix.scales == nullptr;
    });
    const bool rounded = args.products != Products::F32 || args.dequantize;
    return rounded || exact_in_bf16 ? Format::Bf16 : Format::F32;
}

std::size_t value_bytes(const CpuWeight& weight) {
    return static_cast<std::size_t>(weight.panels * weight.pairs * pair_bytes(weight.format));
}

std::size_t scale_count(const CpuWeight& weight) {
    return static_cast<std::size_t>(weight.blocks * weight.panels * kPanel);
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
            weight->grid.push_back(pair += (cols[b + 1] - cols[b] + 1) / 2);
    }
    const std::int64_t* at = weight->grid.data();
    for (std::size_t s = 0; s < grid.block_col.size(); ++s) {
        Segment& segment = weight->segment[s];
        segment.blocks = static_cast<int>(grid.block_col[s].size()) - 1;
        segment.block_col = at;
        segment.block_pair = at + segment.blocks + 1;
        at += 2 * (segment.blocks + 1);
        segment.first_col = weight->cols;
        segment.cols = segment.block_col[segment.blocks];
        segment.first_block = weight->blocks;
        segment.first_pair = weight->pairs;
        segment.panel_bytes = segment.block_pair[segment.blocks] * pair_bytes(weight->format);
        weight->cols += segment.cols;
        weight->blocks += segment.blocks;
        weight->pairs += segment.block_pair[segment.blocks];
    }
    weight->bytes = value_bytes(*weight);
    if (grid.quantised) weight->bytes += scale_count(*weight) * sizeof(float);
    return weight;
}

// Values are still unset.
void claim(CpuWeight& weight, bool quantised) {
    weight.values = allocate_bytes(value_bytes(weight));
    if (quantised) weight.scales.assign(scale_count(weight), 0.0F);
    for (Segment& segment : weight.segment) {
        segment.panels = weight.values.get() + weight.panels * segment.first_pair * pair_bytes(weight.format);
        if (quantised) segment.scales = weight.scales.data() + segment.first_block * weight.panels * kPanel;
    }
}

}  // namespace

bool fits_pack(const PackArgs& /*args*/, const Machine& /*machine*/) { return true; }

void run_pack(const PackArgs& args, const Execution& execution) {
    const PartGrid grid = grid_of(args);
    const std::shared_ptr<CpuWeight> weight = lay_out(args, grid);
    if (args.counted != nullptr) {
        *args.counted = weight->bytes;
        return;
    }
    claim(*weight, grid.quantised);
    const std::int64_t padded = weight->panels * kPanel;
    const std::int64_t tasks = weight->panels * weight->segments;
    over_tasks(tasks, execution.threads, [&](std::int64_t task) {
        const auto s = static_cast<std::size_t>(task / weight->panels);
        const std::int64_t panel = task % weight->panels;
        const Segment& segment = weight->segment[s];
        std::byte* panels = weight->values.get() + (segment.panels - weight->values.get());
        float* scales = segment.scales == nullptr
                            ? nullptr
                            : weight->scales.data() + (segment.scales - weight->scales.data());
        std::memset(panels + panel * segment.panel_bytes, 0, static_cast<std::size_t>(segment.panel_bytes));
        for (const WeightPart& part : args.parts) {
            const std::int64_t first = std::max<std::int64_t>(panel * kPanel - part.row, 0);
            const std::int64_t last = std::min((panel + 1) * kPanel - part.row, part.matrix.rows);
            if (part.segment != static_cast<int>(s) || first >= last) continue;
            pack_rows({&part, &segment, panels, scales, padded}, weight->format, first, last);
        }
    });
    *args.out = weight;
}

}  // namespace sluice::kernels::cpu
