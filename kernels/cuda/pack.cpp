#include "core/error.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/weight.hpp"
#include "kernels/grid.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace sluice::kernels::cuda {
namespace {

constexpr int kRowsOfTile = 64;     // of the products' smaller tiles
constexpr int kRowsOfScales = 128;  // of their larger ones, which load whole tiles of scales
constexpr int kTilesEnough = 396;   // blocks of threads: three on each processor of an H200
constexpr int kLeastStages = 6;     // of a part: less would not fill the pipeline
constexpr int kMostSplits = 16;

int whole(std::int64_t value) {
    expect(value <= std::numeric_limits<int>::max(), "a weight of {} rows, columns or blocks", value);
    return static_cast<int>(value);
}

Format format_of(const PackArgs& args, const PartGrid& grid) {
    if (grid.quantised) return grid.codes == DType::I8 ? Format::Int8 : Format::Fp8;
    const bool exact_in_bf16 = std::all_of(args.parts.begin(), args.parts.end(), [](const WeightPart& part) {
        return part.matrix.dtype == DType::BF16 && part.matrix.scales == nullptr;
    });
    const bool rounded = args.products != Products::F32 || args.dequantize;
    return rounded || exact_in_bf16 ? Format::Bf16 : Format::F32;
}

int splits_of(const WeightShape& shape) {
    if (shape.products == Products::F32) return 1;
    const int tiles = (shape.rows + kRowsOfTile - 1) / kRowsOfTile;
    const int stages = shape.stages / shape.segments;
    return std::clamp(std::min(kTilesEnough / (tiles * shape.segments), stages / kLeastStages), 1,
                      kMostSplits);
}

WeightShape shape_of(const PackArgs& args, const PartGrid& grid) {
    expect(grid.segments <= kMostSegments, "a weight of {} segments, at most {}", grid.segments,
           kMostSegments);
    WeightShape shape;
    shape.format = format_of(args, grid);
    shape.products = grid.products;
    shape.power_of_two_scales = args.power_of_two_scales;
    shape.rows = whole(grid.rows);
    shape.padded_rows = whole((grid.rows + kRowsOfScales - 1) / kRowsOfScales * kRowsOfScales);
    shape.segments = grid.segments;
    const int width = stage_width(shape.format);
    const auto stages = [&](int cols) { return (cols + width - 1) / width; };
    int first_col = 0;
    for (int s = 0; s < grid.segments; ++s) {
        const std::vector<std::int64_t>& cols = grid.block_col[static_cast<std::size_t>(s)];
        Segment& segment = shape.segment[s];
        segment.first_stage = shape.stages;
        segment.first_block = shape.blocks;
        segment.blocks = whole(static_cast<std::int64_t>(cols.size()) - 1);
        segment.first_col = first_col;
        segment.cols = whole(cols.back());
        segment.lead_cols = whole(cols[1]);
        segment.lead_stages = stages(segment.lead_cols);
        segment.block_cols = segment.blocks > 1 ? whole(cols[2] - cols[1]) : segment.cols;
        segment.block_stages = stages(segment.block_cols);
        const KBlock last = segment.block(segment.blocks - 1);
        segment.stages = last.first_stage + stages(last.end_col - last.first_col);
        shape.stages += segment.stages;
        shape.blocks += segment.blocks;
        first_col = whole(std::int64_t{first_col} + segment.cols);
    }
    shape.splits = splits_of(shape);
    return shape;
}

// Columns [begin, end) of row n as values of type T.
template <class T, class Value>
void put(std::byte* to, std::int64_t begin, std::int64_t end, Value value) {
    for (std::int64_t k = begin; k < end; ++k, to += sizeof(T)) {
        const T each = value(k);
        std::memcpy(to, &each, sizeof each);
    }
}

// Whether an e4m3 NaN was among the codes; code 0 takes its place.
bool drop_nan(std::byte* codes, std::int64_t count) {
    bool found = false;
    for (std::int64_t i = 0; i < count; ++i) {
        if ((codes[i] & std::byte{0x7f}) != std::byte{0x7f}) continue;
        codes[i] = std::byte{0};
        found = true;
    }
    return found;
}

void put_columns(const HostMatrix& m, Format format, std::int64_t n, std::int64_t begin, std::int64_t end,
                 std::byte* to) {
    const auto element = static_cast<std::int64_t>(size_of(m.dtype));
    const bool kept =
        is_coded(format) || (format == Format::Bf16 && m.dtype == DType::BF16 && m.scales == nullptr);
    const std::byte* row =
        static_cast<const std::byte*>(m.values) + (n * m.row_stride + begin * m.col_stride) * element;
    if (kept && m.col_stride == 1) {
        std::memcpy(to, row, static_cast<std::size_t>((end - begin) * element));
    } else if (kept) {
        for (std::int64_t k = begin; k < end; ++k, to += element, row += m.col_stride * element)
            std::memcpy(to, row, static_cast<std::size_t>(element));
    } else if (format == Format::F32) {
        put<float>(to, begin, end, [&](std::int64_t k) { return m.at(n, k); });
    } else {
        put<bf16>(to, begin, end, [&](std::int64_t k) { return to_bf16(m.at(n, k)); });
    }
}

// One output's row of one segment; scales are those of all blocks and outputs, or null.
void put_row(const WeightPart& part, const WeightShape& shape, std::int64_t n, std::byte* row,
             float* scales) {
    const HostMatrix& m = part.matrix;
    const Segment& segment = shape.segment[part.segment];
    for (int b = 0; b < segment.blocks; ++b) {
        const KBlock block = segment.block(b);
        std::byte* to = row + std::int64_t{segment.first_stage + block.first_stage} * kStageBytes;
        put_columns(m, shape.format, n, block.first_col, block.end_col, to);
        if (scales == nullptr) continue;
        float& scale = scales[std::int64_t{segment.first_block + b} * shape.padded_rows + part.row + n];
        scale = m.scales[(n + m.row_offset) / m.block_rows * m.scale_row_stride +
                         (block.first_col + m.col_offset) / m.block_cols * m.scale_col_stride];
        if (shape.format == Format::Fp8 && drop_nan(to, block.end_col - block.first_col))
            scale = std::numeric_limits<float>::quiet_NaN();
    }
}

// Rows [first, first + count) of the whole.
void put_rows(const PackArgs& args, const WeightShape& shape, std::int64_t first, std::int64_t count,
              int threads, std::byte* rows, float* scales) {
    std::memset(rows, 0, static_cast<std::size_t>(count * shape.row_bytes()));
    cpu::over_rows(count, shape.row_bytes(), threads, [&](std::int64_t begin, std::int64_t end) {
        for (const WeightPart& part : args.parts) {
            const std::int64_t from = std::max(first + begin, part.row);
            const std::int64_t to = std::min(first + end, part.row + part.matrix.rows);
            for (std::int64_t n = from; n < to; ++n)
                put_row(part, shape, n - part.row, rows + (n - first) * shape.row_bytes(), scales);
        }
    });
}

}  // namespace

void run_pack(const PackArgs& args, const Execution& execution) {
    const PartGrid grid = grid_of(args);
    const WeightShape shape = shape_of(args, grid);
    if (args.counted != nullptr) {
        *args.counted = static_cast<std::size_t>(shape.bytes());
        return;
    }
    auto weight = std::make_shared<CudaWeight>();
    weight->shape = shape;
    weight->rows = shape.rows;
    weight->segments = shape.segments;
    for (int s = 0; s < shape.segments; ++s) weight->cols += shape.segment[s].cols;
    weight->bytes = static_cast<std::size_t>(shape.bytes());
    weight->memory = DeviceMemory(weight->bytes);
    std::vector<float> scales(
        is_coded(shape.format) ? std::size_t(shape.blocks) * std::size_t(shape.padded_rows) : 0);
    const auto row_bytes = static_cast<std::size_t>(shape.row_bytes());
    upload(weight->memory.data(), static_cast<std::size_t>(shape.rows), row_bytes,
           [&](std::size_t first, std::span<std::byte> rows) {
               put_rows(args, shape, static_cast<std::int64_t>(first),
                        static_cast<std::int64_t>(rows.size() / row_bytes), execution.threads, rows.data(),
                        scales.empty() ? nullptr : scales.data());
           });
    upload(weight->memory.data() + shape.scales_at(), scales.size(), sizeof(float),
           [&](std::size_t first, std::span<std::byte> items) {
               std::memcpy(items.data(), scales.data() + first, items.size());
           });
    *args.out = weight;
}

}  // namespace sluice::kernels::cuda
