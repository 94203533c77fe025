// A warp's sums as tensor cores leave them in registers: tiles of sixteen outputs by eight rows.
#pragma once

#include "kernels/cuda/product_place.cuh"

namespace sluice::kernels::cuda {

// Of element i of a lane's four, in tile m of outputs and tile n of rows.
__device__ __forceinline__ int output_of(int m, int i) { return 16 * m + lane_of_thread() / 4 + i / 2 * 8; }
__device__ __forceinline__ int row_of(int n, int i) { return 8 * n + lane_of_thread() % 4 * 2 + i % 2; }

// The scales of a warp's outputs: one for each, or one for each tile of sixteen.
struct OutputScales {
    const float* first;
    bool shared;

    __device__ __forceinline__ float of(int m, int i) const { return first[shared ? m : output_of(m, i)]; }
};

// Where a k block ends. `x_scales` are the tiles' rows', each in 16 bytes.
template <int OutputTiles, int RowTiles>
__device__ __forceinline__ void add_scaled(float (&totals)[OutputTiles][RowTiles][4],
                                           float (&sums)[OutputTiles][RowTiles][4], const float* x_scales,
                                           const OutputScales& scales) {
#pragma unroll
    for (int n = 0; n < RowTiles; ++n) {
#pragma unroll
        for (int m = 0; m < OutputTiles; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                float& sum = sums[m][n][i];
                totals[m][n][i] += sum * x_scales[4 * row_of(n, i)] * scales.of(m, i);
                sum = 0;
            }
        }
    }
}

// Puts sums, times their outputs' marks where there are some, to `out`, or adds them to what is there, and
// makes them zero. `row` and `output` are the tiles' first, of which there are those below `rows` and
// `outputs`.
template <int OutputTiles, int RowTiles>
__device__ __forceinline__ void put_sums(float (&sums)[OutputTiles][RowTiles][4], const SumRows& out, int row,
                                         int rows, int output, int outputs, const float* marks, bool added) {
    // Loaded before anything is stored, for the compiler must think that a store may change a mark.
    float mark[OutputTiles][2];
#pragma unroll
    for (int m = 0; m < OutputTiles; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int o = output + output_of(m, 2 * half);
            mark[m][half] = marks != nullptr && o < outputs ? marks[o] : 1;
        }
    }
#pragma unroll
    for (int n = 0; n < RowTiles; ++n) {
#pragma unroll
        for (int m = 0; m < OutputTiles; ++m) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                float& sum = sums[m][n][i];
                const int r = row + row_of(n, i), o = output + output_of(m, i);
                if (r < rows && o < outputs) {
                    float* to = out.first + r * out.stride + o;
                    const float marked = marks == nullptr ? sum : sum * mark[m][i / 2];
                    *to = added ? *to + marked : marked;
                }
                sum = 0;
            }
        }
    }
}

}  // namespace sluice::kernels::cuda
