// The runtime's calls, by their names in CUDA. There is one device, and everything is done when a call
// returns, but for what a stream records.
#pragma once

#include "cuda/emulation/grid.hpp"
#include "cuda/emulation/memory.hpp"
#include "cuda/emulation/stream.hpp"

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

struct dim3 : sluice::emulation::Index {
    constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
        : Index{x_size, y_size, z_size} {}
};

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDeviceFunction = 98,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorIllegalState = 401,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
};
enum cudaDeviceAttr {
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
using cudaStream_t = CUstream_st*;

inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    *value = attribute == cudaDevAttrComputeCapabilityMajor   ? 9
             : attribute == cudaDevAttrComputeCapabilityMinor ? 0
                                                              : 227 * 1024;
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (stream == nullptr || stream->graph == nullptr) return cudaSuccess;
    return stream->spoilt = true, cudaErrorStreamCaptureUnsupported;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "cudaSuccess";
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
        case cudaErrorInvalidDeviceFunction: return "cudaErrorInvalidDeviceFunction";
        case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
        case cudaErrorIllegalState: return "cudaErrorIllegalState";
        case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
        case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    }
    return "unknown";
}
inline const char* cudaGetErrorString(cudaError_t) { return "of the emulation"; }

// Memory.
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    if (sluice::emulation::spoils_recording()) return cudaErrorStreamCaptureUnsupported;
    *memory = sluice::emulation::allocate_on_device(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* memory) {
    if (sluice::emulation::spoils_recording()) return cudaErrorStreamCaptureUnsupported;
    return sluice::emulation::free_on_device(memory), cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    if (sluice::emulation::spoils_recording()) return cudaErrorStreamCaptureUnsupported;
    *memory = std::malloc(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeHost(void* memory) {
    if (sluice::emulation::spoils_recording()) return cudaErrorStreamCaptureUnsupported;
    return std::free(memory), cudaSuccess;
}
inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
    if (sluice::emulation::spoils_recording()) return cudaErrorStreamCaptureUnsupported;
    sluice::emulation::queue(nullptr, [=] { std::memset(memory, value, bytes); });
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream) {
    sluice::emulation::queue(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    *total = std::size_t{8} << 30;
    return *free = *total - sluice::emulation::claimed_on_device(), cudaSuccess;
}

// Devices, streams and events.
struct cudaDeviceProp {
    char name[256] = "an emulated GPU";
    std::size_t totalGlobalMem = std::size_t{8} << 30;
    int major = 9, minor = 0;
    int pciDomainID = 0, pciBusID = 0, pciDeviceID = 0;
};
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    return *properties = {}, cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    return *stream = new CUstream_st, cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
using cudaHostFn_t = void (*)(void*);
inline cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    sluice::emulation::queue(stream, {{[=] { function(data); }, true}});
    return cudaSuccess;
}
struct CUevent_st {
    bool timed = true, recorded = false;
    std::chrono::steady_clock::time_point at{};  // the host's clock
};
using cudaEvent_t = CUevent_st*;
inline constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    return *event = new CUevent_st{flags != cudaEventDisableTiming}, cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    event->recorded = true;
    event->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    if (!start->timed || !end->timed || !start->recorded || !end->recorded) return cudaErrorInvalidValue;
    *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
    return cudaSuccess;
}

namespace sluice::emulation {
inline int attributes_set = 0;
inline bool has_kernel_image = true;  // that the program has code for the device
}  // namespace sluice::emulation

inline cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int bytes) {
    ++sluice::emulation::attributes_set;
    return bytes <= 227 * 1024 ? cudaSuccess : cudaErrorInvalidValue;
}
struct cudaFuncAttributes {
    int maxThreadsPerBlock = 1024;
};
inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, const void*) {
    return sluice::emulation::has_kernel_image ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}

enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization = 6 };
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    struct {
        int programmaticStreamSerializationAllowed;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 grid, block;  // CUDA's names are macros here
    std::size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
    cudaLaunchAttribute* attrs = nullptr;
    unsigned numAttrs = 0;
};

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
    constexpr unsigned kMost = 1024;
    const dim3 &grid = config->grid, &block = config->block;
    const bool sized = block.x * block.y * block.z > 0 && block.x * block.y * block.z <= kMost &&
                       grid.x > 0 && grid.x < 1U << 31 && grid.y > 0 && grid.y < 1U << 16 && grid.z > 0 &&
                       grid.z < 1U << 16;
    if (!sized) return cudaErrorInvalidConfiguration;
    static_assert((sizeof(Parameters) + ... + 0) <= 4096, "more parameters than a kernel may have");
    ++sluice::emulation::asked.launches;
    const sluice::emulation::Launch launch{
        grid, block, config->dynamicSmemBytes,
        config->numAttrs > 0 && config->attrs->val.programmaticStreamSerializationAllowed != 0};
    const std::tuple<Parameters...> values{std::forward<Arguments>(arguments)...};
    sluice::emulation::queue(
        config->stream, [=] { sluice::emulation::run_grid(launch, [&] { std::apply(kernel, values); }); });
    return cudaSuccess;
}

// Graphs.
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (stream == nullptr) return cudaErrorStreamCaptureUnsupported;
    if (stream->graph != nullptr) return cudaErrorIllegalState;
    stream->graph = std::make_unique<CUgraph_st>();
    stream->spoilt = false;
    sluice::emulation::recording = stream;
    return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    if (stream == nullptr || stream->graph == nullptr) return cudaErrorIllegalState;
    sluice::emulation::recording = nullptr;
    const auto recorded = std::move(stream->graph);
    *graph = stream->spoilt ? nullptr : new CUgraph_st(std::move(*recorded));
    return stream->spoilt ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
    return *ready = new CUgraphExec_st(*graph), cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t ready, cudaStream_t stream) {
    ++sluice::emulation::asked.replays;
    sluice::emulation::queue(stream, ready->work);
    return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t ready) {
    delete ready;
    return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
