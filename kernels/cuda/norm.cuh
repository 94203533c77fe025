// RMSNorm of a row that a block holds in registers: thread t has the quads t, t + threads, ...
#pragma once

#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/run.hpp"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

inline constexpr int kHeldQuads = 8;
static_assert(kWidestNorm == std::int64_t{4} * kHeldQuads * kMostThreads);

// Threads for rows of `dim` <= kWidestNorm elements: their number says in which order squares are added, so
// nothing else may decide it.
inline unsigned norm_threads(std::int64_t dim) {
    constexpr std::int64_t kHeld = std::int64_t{4} * kHeldQuads;
    return dim <= kHeld / 2 * 64 ? 64 : dim <= kHeld * 256 ? 256 : kMostThreads;
}

struct Row {
    Quad quads[kHeldQuads];
};

// function(k, i) for each of this thread's quads: the k-th, that begins at element i. Places are 32 bits
// wide, for registers are few.
template <class Function>
__device__ __forceinline__ void each_quad(std::int64_t dim, Function function) {
    const int width = static_cast<int>(dim);
#pragma unroll
    for (int k = 0; k < kHeldQuads; ++k) {
        const int i = 4 * (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x));
        if (i < width) function(k, i);
    }
}

template <bool Whole>
__device__ __forceinline__ void load_row(const float* from, std::int64_t dim, Row& row) {
    each_quad(dim, [&](int k, std::int64_t i) { row.quads[k] = load_quad<Whole>(from, i, dim); });
}

// 1 / sqrt(mean(x^2) + eps), for every thread.
__device__ __forceinline__ float norm_factor(const Row& row, std::int64_t dim, float eps, float* sums) {
    float squares[4] = {};
    each_quad(dim, [&](int k, std::int64_t) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const float x = row.quads[k].v[j];
            squares[j] = __fmaf_rn(x, x, squares[j]);
        }
    });
    const float sum = block_sum((squares[0] + squares[1]) + (squares[2] + squares[3]), sums);
    return 1.0F / sqrtf(sum / static_cast<float>(dim) + eps);
}

__device__ __forceinline__ Quad scaled(const Quad& x, float factor, const Quad& gain) {
    Quad y;
#pragma unroll
    for (int j = 0; j < 4; ++j) y.v[j] = x.v[j] * factor * gain.v[j];
    return y;
}

}  // namespace sluice::kernels::cuda
