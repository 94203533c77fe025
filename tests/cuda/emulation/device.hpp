// What code of the device is written with, by its names in CUDA.
#pragma once

#include "cuda/emulation/grid.hpp"
#include "cuda/emulation/mma.hpp"
#include "cuda/emulation/vectors.hpp"
#include "cuda/emulation/wgmma.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

// __shared__ is missing on purpose: see kernels/cuda/shared.cuh.
#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)

#define threadIdx (sluice::emulation::place.thread)
#define blockIdx (sluice::emulation::place.block)
#define blockDim (sluice::emulation::place.block_size)
#define gridDim (sluice::emulation::place.grid)

inline void __syncthreads(const std::source_location& at = std::source_location::current()) {
    sluice::emulation::block_barrier(at);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { sluice::emulation::fail_thread("__trap()"); }

// Arithmetic with one rounding.
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
// These are faster and less exact on a GPU: within a few ulp of what is given here.
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }

using std::max;
using std::min;

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
template <class T>
T __ldg(const T* p) {
    return *p;
}

#include "cuda/emulation/atomics.hpp"
#include "cuda/emulation/warp.hpp"
