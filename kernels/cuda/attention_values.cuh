// Weights times values where some pairs of a tile see fewer of the positions than others: a weight of zero
// does not hide a value that is not finite.
#pragma once

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/reduce.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

// Whether both values of the pair are finite.
__device__ __forceinline__ bool finite_pair(std::uint32_t pair) {
    return (pair & 0x7f80U) != 0x7f80U && (pair & 0x7f800000U) != 0x7f800000U;
}

// Of two values, the first `count`; zeros for the others.
__device__ __forceinline__ std::uint32_t first_of_pair(std::uint32_t pair, int count) {
    return count >= 2 ? pair : count == 1 ? pair & 0xffffU : 0;
}

// mma_bf16, where pair i of the sixteen sees the positions up to last[i], of which the first is `first`.
// Values that some pair does not see and that are not finite are rare: each pair then has a product of its
// own.
__device__ __forceinline__ void mma_seen(float (&c)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2], const int* last, int first) {
    if (__all_sync(kAllLanes, finite_pair(b[0]) && finite_pair(b[1]))) return mma_bf16(c, a, b);
    const int row = lane_of_thread() / 4, column = lane_of_thread() % 4 * 2;
#pragma unroll 1
    for (int i = 0; i < 16; ++i) {
        const int seen = last[i] - first + 1 - column;
        const std::uint32_t own[2] = {first_of_pair(b[0], seen), first_of_pair(b[1], seen - 8)};
        float sum[4] = {c[0], c[1], c[2], c[3]};
        mma_bf16(sum, a, own);
        if (i == row) {
            c[0] = sum[0];
            c[1] = sum[1];
        }
        if (i == row + 8) {
            c[2] = sum[2];
            c[3] = sum[3];
        }
    }
}

// A warp's part: its pairs and columns.
template <class Tile>
struct WeightedValues {
    const bf16* weights;  // of its first pair, rows of a page's positions
    const int* position;  // the last that each pair sees
    const bf16* values;
    int pitch, first_column, width;
    int start, count;  // of the page, and how many of its positions the tile sees

    // `Alike`: all pairs see all positions; `Whole`: there are values in all columns.
    template <bool Alike, bool Whole>
    __device__ __forceinline__ void add(float (&sums)[Tile::kPairBlocks][Tile::kEights][4]) const {
        const int row = lane_of_thread() % 16, half = lane_of_thread() / 16;
#pragma unroll 1
        for (int at = 0; at < count; at += 16) {
            std::uint32_t weight[Tile::kPairBlocks][4];
#pragma unroll
            for (int m = 0; m < Tile::kPairBlocks; ++m)
                load_matrices(weight[m], weights + swizzled(16 * m + row, at / 8 + half, kPageTokens));
#pragma unroll
            for (int n = 0; n < Tile::kEights; n += 2) {
                const int eight = first_column / 8 + n;
                if (!Whole && 8 * eight >= width) break;
                std::uint32_t value[4];
                load_transposed(value, values + swizzled(at + row, eight + half, pitch));
                const std::uint32_t low[2] = {value[0], value[1]}, high[2] = {value[2], value[3]};
#pragma unroll
                for (int m = 0; m < Tile::kPairBlocks; ++m) {
                    if constexpr (Alike) {
                        mma_bf16(sums[m][n], weight[m], low);
                        mma_bf16(sums[m][n + 1], weight[m], high);
                    } else {
                        mma_seen(sums[m][n], weight[m], low, position + 16 * m, start + at);
                        mma_seen(sums[m][n + 1], weight[m], high, position + 16 * m, start + at);
                    }
                }
            }
        }
    }
};

}  // namespace sluice::kernels::cuda
