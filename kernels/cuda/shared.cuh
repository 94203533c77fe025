// Shared memory of a block. Kernels take it from here alone, so that the emulation can hand it out.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

namespace sluice::kernels::cuda {

// The block's one T: give each kernel a struct of its own, local to it. Undefined until written.
template <class T>
__device__ __forceinline__ T& shared() {
    static_assert(std::is_trivially_default_constructible_v<T>, "shared memory has no constructors");
#ifdef __CUDACC__
    __shared__ T memory;
    return memory;
#else
    return emulation::shared<T>();
#endif
}

// The bytes that the launch asked for, aligned to 128.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#ifdef __CUDACC__
    extern __shared__ __align__(128) unsigned char dynamic_bytes[];
    return reinterpret_cast<T*>(dynamic_bytes);
#else
    return static_cast<T*>(emulation::dynamic_shared());
#endif
}

// The same, aligned to 1024: for tiles that wgmma reads.
__device__ __forceinline__ std::byte* swizzled_shared() {
#ifdef __CUDACC__
    extern __shared__ __align__(1024) unsigned char swizzled_bytes[];
    return reinterpret_cast<std::byte*>(swizzled_bytes);
#else
    return static_cast<std::byte*>(emulation::dynamic_shared());
#endif
}

}  // namespace sluice::kernels::cuda
