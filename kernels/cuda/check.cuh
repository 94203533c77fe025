// Calls of the CUDA runtime, checked.
#pragma once

#include "kernels/cuda/device.hpp"

#include <cuda_runtime_api.h>

namespace sluice::kernels::cuda {

// Lets a kernel have so much shared memory on the calling thread's device. Quick but for the first time.
void allow_shared_memory(const void* kernel, int bytes);
// Whether the program holds kernels that this device runs.
cudaError_t find_kernels();
// Whether those that it runs were compiled with wgmma, and so that launches may overlap.
bool find_wgmma();
bool find_overlap();

inline void check(cudaError_t result, const char* call, const char* file, int line) {
    if (result != cudaSuccess) fail_call(result, call, file, line);
}

}  // namespace sluice::kernels::cuda

#define SLUICE_CUDA_CHECK(call) ::sluice::kernels::cuda::check((call), #call, __FILE__, __LINE__)
