// The grid of operations that work on a matrix element by element: a block for some columns of one row, a
// thread for a quad.
#pragma once

#include "kernels/cuda/launch.cuh"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

namespace sluice::kernels::cuda {

struct ColumnGrid {
    dim3 grid, block;
};

inline ColumnGrid column_grid(std::int64_t rows, std::int64_t width) {
    constexpr std::int64_t kMostThreadsOfRow = 256, kWarpSize = 32;
    const std::int64_t quads = std::max<std::int64_t>((width + 3) / 4, 1);
    const std::int64_t threads = std::min((quads + kWarpSize - 1) / kWarpSize * kWarpSize, kMostThreadsOfRow);
    return {dim3(static_cast<unsigned>(rows), blocks_of(quads, threads)), static_cast<unsigned>(threads)};
}

__device__ __forceinline__ std::int64_t grid_row() { return blockIdx.x; }
// The first element of the thread's quad; beyond the row's end for some.
__device__ __forceinline__ std::int64_t grid_column() {
    return 4 * (static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x);
}

}  // namespace sluice::kernels::cuda
