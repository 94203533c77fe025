// How a packed weight lies in device memory; needs no device.
#include "core/error.hpp"
#include "kernels/cuda/weight.hpp"
#include "kernels/grid.hpp"

#include <algorithm>
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
    return kept_as_bf16(args) ? Format::Bf16 : Format::F32;
}

int splits_of(const WeightShape& shape) {
    if (shape.products == Products::F32) return 1;
    const int tiles = (shape.rows + kRowsOfTile - 1) / kRowsOfTile;
    const int stages = shape.stages / shape.segments;
    return std::clamp(std::min(kTilesEnough / (tiles * shape.segments), stages / kLeastStages), 1,
                      kMostSplits);
}

WeightShape shape_of(const PackArgs& args, const PartGrid& grid) {
    require(grid.segments <= kMostSegments, ExitCode::Checkpoint,
            "a rank has {} slices of a weight, and a GPU takes {}: use more ranks, or a checkpoint of fewer "
            "slices",
            grid.segments, kMostSegments);
    WeightShape shape;
    shape.format = format_of(args, grid);
    shape.products = grid.products;
    shape.power_of_two_scales = args.power_of_two_scales;
    shape.shared_scales = grid.quantised && share_scales(args.parts, kOutputsOfScale);
    shape.rows = whole(grid.rows);
    shape.padded_rows = whole((grid.rows + kRowsOfScales - 1) / kRowsOfScales * kRowsOfScales);
    shape.segments = grid.segments;
    const int width = stage_width(shape.format);
    const auto stages = [&](int cols) { return (cols + width - 1) / width; };
    int first_col = 0;
    for (int s = 0; s < grid.segments; ++s) {
        const std::vector<std::int64_t>& cols = grid.block_col[static_cast<std::size_t>(s)];
        Segment& segment = shape.segment[s];
        segment.number = s;
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

}  // namespace

std::shared_ptr<CudaWeight> lay_out(const PackArgs& args) {
    auto weight = std::make_shared<CudaWeight>();
    weight->shape = shape_of(args, grid_of(args));
    weight->rows = weight->shape.rows;
    weight->segments = weight->shape.segments;
    for (int s = 0; s < weight->segments; ++s) weight->cols += weight->shape.segment[s].cols;
    weight->bytes = aligned(static_cast<std::size_t>(weight->shape.bytes()));
    return weight;
}

}  // namespace sluice::kernels::cuda
