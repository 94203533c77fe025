// The grid of operations that work on a matrix row by row: a block for some items of one row, a thread for
// each. Where they work element by element, an item is a quad.
#pragma once

#include "kernels/cuda/launch.cuh"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

namespace sluice::kernels::cuda {

struct ColumnGrid {
    dim3 grid, block;
};

constexpr std::int64_t quads_of(std::int64_t width) { return (width + 3) / 4; }

inline ColumnGrid item_grid(std::int64_t rows, std::int64_t items) {
    constexpr std::int64_t kMostThreadsOfRow = 256, kWarpSize = 32;
    items = std::max<std::int64_t>(items, 1);
    const std::int64_t threads = std::min((items + kWarpSize - 1) / kWarpSize * kWarpSize, kMostThreadsOfRow);
    return {dim3(static_cast<unsigned>(rows), blocks_of(items, threads)), static_cast<unsigned>(threads)};
}
inline ColumnGrid column_grid(std::int64_t rows, std::int64_t width) {
    return item_grid(rows, quads_of(width));
}

__device__ __forceinline__ std::int64_t grid_row() { return blockIdx.x; }
// Beyond the row's items for some threads.
__device__ __forceinline__ std::int64_t grid_item() {
    return static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
}
// The first element of the thread's quad; beyond the row's end for some.
__device__ __forceinline__ std::int64_t grid_column() { return 4 * grid_item(); }

}  // namespace sluice::kernels::cuda
