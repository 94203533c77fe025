#include "kernels/cuda/check.cuh"
#include "kernels/cuda/wgmma.cuh"

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {
namespace {

constexpr int kThreadsWithWgmma = 1024;

// All kernels are compiled for the same GPUs. How many threads this one takes tells which code of it a device
// runs.
__global__ void __launch_bounds__(kHasWgmma ? kThreadsWithWgmma : kThreadsWithWgmma / 2) any_kernel() {}

cudaError_t ask(cudaFuncAttributes& attributes) {
    return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(any_kernel));
}

}  // namespace

cudaError_t find_kernels() {
    cudaFuncAttributes attributes;
    return ask(attributes);
}

bool find_wgmma() {
    cudaFuncAttributes attributes;
    return ask(attributes) == cudaSuccess && attributes.maxThreadsPerBlock == kThreadsWithWgmma;
}

}  // namespace sluice::kernels::cuda
