// The runtime's calls, by their names in CUDA. There is one device, and everything is done when a call
// returns.
#pragma once

#include "cuda/emulation/grid.hpp"
#include "cuda/emulation/memory.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

struct dim3 : sluice::emulation::Index {
    constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
        : Index{x_size, y_size, z_size} {}
};

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9
};
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
using cudaStream_t = struct CUstream_st*;

inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 227 * 1024;
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t error) {
    return error == cudaSuccess             ? "cudaSuccess"
           : error == cudaErrorInvalidValue ? "cudaErrorInvalidValue"
                                            : "cudaErrorInvalidConfiguration";
}
inline const char* cudaGetErrorString(cudaError_t) { return "of the emulation"; }

// Memory.
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    *memory = sluice::emulation::allocate_on_device(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void*) { return cudaSuccess; }
inline cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    *memory = std::malloc(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeHost(void* memory) { return std::free(memory), cudaSuccess; }
inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
    const sluice::emulation::DeviceTurn turn;
    return std::memset(memory, value, bytes), cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
    const sluice::emulation::DeviceTurn turn;
    return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    return *free = *total = std::size_t{8} << 30, cudaSuccess;
}

// Devices, streams and events.
struct cudaDeviceProp {
    char name[256] = "an emulated GPU";
    std::size_t totalGlobalMem = std::size_t{8} << 30;
    int pciDomainID = 0, pciBusID = 0, pciDeviceID = 0;
};
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    return *properties = {}, cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    return *stream = nullptr, cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
using cudaEvent_t = struct CUevent_st*;
inline constexpr unsigned cudaEventDisableTiming = 2;
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    return *event = nullptr, cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
    return bytes <= 227 * 1024 ? cudaSuccess : cudaErrorInvalidValue;
}

template <class... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t) {
    constexpr unsigned kMost = 1024;
    const bool sized = block.x * block.y * block.z > 0 && block.x * block.y * block.z <= kMost &&
                       grid.x > 0 && grid.x < 1U << 31 && grid.y > 0 && grid.y < 1U << 16 && grid.z > 0 &&
                       grid.z < 1U << 16;
    if (!sized) return cudaErrorInvalidConfiguration;
    static_assert((sizeof(Parameters) + ... + 0) <= 4096, "more parameters than a kernel may have");
    const sluice::emulation::DeviceTurn turn;
    const auto thread = [&]<std::size_t... I>(std::index_sequence<I...>) {
        sluice::emulation::run_grid(grid, block, shared_bytes,
                                    [&] { kernel(*static_cast<Parameters*>(arguments[I])...); });
    };
    thread(std::index_sequence_for<Parameters...>{});
    return cudaSuccess;
}
