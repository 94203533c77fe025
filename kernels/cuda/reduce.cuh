// Sums of a warp and of a block, in an order that the number of threads alone decides. Every thread gets the
// sum, in the same bits.
#pragma once

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;
inline constexpr int kMostThreads = 1024;  // of a block
inline constexpr int kMostWarps = kMostThreads / kWarp;

__device__ __forceinline__ int lane_of_thread() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_of_thread() { return static_cast<int>(threadIdx.x) / kWarp; }

// A tree of neighbours: at each level both partners add the same two numbers.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int apart = kWarp / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(kAllLanes, value, apart);
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
    for (int apart = kWarp / 2; apart > 0; apart /= 2)
        value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, apart));
    return value;
}

// Of blockDim.x threads, whole warps: the warps' sums in order. `sums` holds kMostWarps values in shared
// memory that no other sum of the kernel uses.
template <class T>
__device__ __forceinline__ T block_sum(T value, T* sums) {
    const T mine = warp_sum(value);
    if (lane_of_thread() == 0) sums[warp_of_thread()] = mine;
    __syncthreads();
    T total = sums[0];
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    for (int w = 1; w < warps; ++w) total += sums[w];
    return total;
}

}  // namespace sluice::kernels::cuda
