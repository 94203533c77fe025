#include "kernels/cuda/check.cuh"
#include "kernels/cuda/overlap.cuh"
#include "kernels/cuda/wgmma.cuh"

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {
namespace {

// All kernels are compiled for the same GPUs. How many threads this one takes tells which code of it a device
// runs: of each size, or more, that with what the size stands for.
constexpr int kThreadsWithWgmma = 1024, kThreadsWithOverlap = 512, kThreadsOfAny = 256;
constexpr int kThreadsHere = kHasWgmma     ? kThreadsWithWgmma
                             : kMayOverlap ? kThreadsWithOverlap
                                           : kThreadsOfAny;
static_assert(kMayOverlap || !kHasWgmma);

__global__ void __launch_bounds__(kThreadsHere) any_kernel() {}

cudaError_t ask(cudaFuncAttributes& attributes) {
    return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(any_kernel));
}

bool takes(int threads) {
    cudaFuncAttributes attributes;
    return ask(attributes) == cudaSuccess && attributes.maxThreadsPerBlock >= threads;
}

}  // namespace

cudaError_t find_kernels() {
    cudaFuncAttributes attributes;
    return ask(attributes);
}

bool find_wgmma() { return takes(kThreadsWithWgmma); }
bool find_overlap() { return takes(kThreadsWithOverlap); }

}  // namespace sluice::kernels::cuda
