// Which rows, of which weight, a block of threads works on.
#pragma once

#include "kernels/cuda/overlap.cuh"
#include "kernels/cuda/product_batch.hpp"
#include "kernels/cuda/reduce.cuh"

#include <cuda_runtime.h>

#include <algorithm>

namespace sluice::kernels::cuda {

struct RowTile {
    int weight = 0;
    int first = 0;  // of the weight's rows, or of all where there are offsets
    int rows = 0;   // 0: nothing to do
};

// The slot-th tile of `kRows` rows, over all weights that have rows: every warp searches for itself, each
// lane through some of the weights.
template <int kRows>
__device__ __forceinline__ RowTile grouped_tile(const Batch& batch, int slot) {
    expect_awaited();
    const int lane = lane_of_thread(), each = (batch.weights + kWarp - 1) / kWarp;
    const auto tiles_of = [&](int w) {
        return (batch.offsets[w + 1] - batch.offsets[w] + kRows - 1) / kRows;
    };
    int tiles = 0;
    for (int w = lane * each; w < min((lane + 1) * each, batch.weights); ++w) tiles += tiles_of(w);
    int upto = tiles;
#pragma unroll
    for (int by = 1; by < kWarp; by *= 2) {
        const int before = __shfl_up_sync(kAllLanes, upto, by);
        if (lane >= by) upto += before;
    }
    const unsigned after = __ballot_sync(kAllLanes, slot < upto);
    if (after == 0) return {};
    const int owner = __ffs(static_cast<int>(after)) - 1;
    slot -= __shfl_sync(kAllLanes, upto - tiles, owner);
    int w = owner * each;
    for (int here = tiles_of(w); slot >= here; here = tiles_of(++w)) slot -= here;
    const int first = batch.offsets[w] + slot * kRows;
    return {w, first, min(kRows, batch.offsets[w + 1] - first)};
}

// `slot`: which tile of rows, of grouped ones over all weights; `weight`: which weight where rows are not
// grouped.
template <int kRows>
__device__ __forceinline__ RowTile find_tile(const Batch& batch, int slot, int weight) {
    if (batch.offsets != nullptr) return grouped_tile<kRows>(batch, slot);
    return {weight, slot * kRows, min(kRows, batch.rows - slot * kRows)};
}

// The number of a tile's first row among all.
__device__ __forceinline__ std::int64_t row_number(const Batch& batch, const RowTile& tile) {
    return batch.offsets != nullptr ? tile.first : std::int64_t{tile.weight} * batch.rows + tile.first;
}

// Where a weight's row r of x begins.
__device__ __forceinline__ const float* x_row(const Batch& batch, int weight, std::int64_t r) {
    const std::int64_t from = batch.gather != nullptr ? batch.gather[r] : r;
    return batch.x + weight * batch.x_weight_stride + from * batch.x_stride;
}

// Where output 0 of a tile's first row goes, and how far it is to the next row.
struct SumRows {
    float* first;
    std::int64_t stride;
};
__device__ __forceinline__ SumRows sum_rows(const Batch& batch, const RowTile& tile, int piece) {
    if (batch.sums_are_outputs())
        return {batch.out + tile.weight * batch.out_weight_stride + piece * batch.out_segment_stride +
                    tile.first * batch.out_stride,
                batch.out_stride};
    const std::int64_t rows = batch.all_rows();
    return {batch.sums + (piece * rows + row_number(batch, tile)) * batch.shape.rows, batch.shape.rows};
}

// What a block computes: a tile of rows, by some outputs, of one piece of the sums.
struct BlockWork {
    const Batch& batch;
    RowTile tile;
    const Segment& segment;
    int piece, first_part, last_part;

    // Stages count from the segment's first.
    __device__ __forceinline__ int begin_of(int part) const { return segment.stages * part / batch.splits; }
    // Whether a k block or the part ends with this stage.
    __device__ __forceinline__ bool ends_block(int stage, int end_of_part) const {
        return stage + 1 == end_of_part || segment.block_of(stage + 1) != segment.block_of(stage);
    }
};

// Of a grid of tiles of rows, tiles of outputs, and weights times pieces. `Large`: parts may go together.
// Where a launch before says which rows are whose, it waits for that; else load_first_stages() waits for the
// rows.
template <int kRows, bool Large>
__device__ __forceinline__ BlockWork work_of_block(const Batch& batch) {
    let_next_begin();
    if (batch.offsets != nullptr) await_launches_before();
    const int z = static_cast<int>(blockIdx.z), piece = z % batch.pieces();
    const RowTile tile = find_tile<kRows>(batch, static_cast<int>(blockIdx.x), z / batch.pieces());
    const bool together = Large && batch.together;
    return {batch,
            tile,
            batch.shape.segment[piece / batch.sums_of_segment()],
            piece,
            together ? 0 : piece % batch.splits,
            together ? batch.splits - 1 : piece % batch.splits};
}

// Tiles of rows that a launch must hold: of grouped rows as many as there can be.
inline unsigned most_tiles(const Batch& batch, int tile_rows) {
    const int whole = (batch.rows + tile_rows - 1) / tile_rows;
    if (batch.offsets == nullptr) return static_cast<unsigned>(whole);
    return static_cast<unsigned>(std::min(batch.rows, whole + batch.weights));
}
// The other weights of a launch.
inline int weights_of_grid(const Batch& batch) { return batch.offsets == nullptr ? batch.weights : 1; }

}  // namespace sluice::kernels::cuda
