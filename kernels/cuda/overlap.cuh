// Launches of a stream that overlap (programmatic dependent launch, CUDA Programming Guide): a kernel's
// blocks may begin when all those of the launch before have begun, and wait within for that launch to end. So
// the next kernel stands ready when one ends.
//
// Every thread of every kernel waits before it touches what any launch may have written, and whether it
// touches anything or not: a launch that nobody waits in may end before those before it, and who waits for a
// launch relies on it to have waited. Most kernels begin with join_stream(). What may be read sooner is what
// no launch of a stream writes: parameters and packed weights.
#pragma once

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {

// Whether what is being compiled may hold these instructions: elsewhere launches follow one another.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
inline constexpr bool kMayOverlap = false;
#else
inline constexpr bool kMayOverlap = true;
#endif

// The next launch may begin, when every block of this one has said so or ended.
__device__ __forceinline__ void let_next_begin() {
#ifdef __CUDACC__
    if constexpr (kMayOverlap) asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Returns when all launches before have ended, and what they wrote can be read.
__device__ __forceinline__ void await_launches_before() {
#ifdef __CUDACC__
    if constexpr (kMayOverlap) asm volatile("griddepcontrol.wait;" ::: "memory");
#else
    emulation::await_launches_before();
#endif
}

// Before something is touched that a launch may have written: the emulation then looks whether that was
// waited for.
__device__ __forceinline__ void expect_awaited() {
#ifndef __CUDACC__
    emulation::expect_awaited();
#endif
}

__device__ __forceinline__ void join_stream() {
    let_next_begin();
    await_launches_before();
}

}  // namespace sluice::kernels::cuda
