// Calls of the CUDA runtime, checked.
#pragma once

#include "kernels/cuda/device.hpp"

#include <cuda_runtime_api.h>

namespace sluice::kernels::cuda {

inline void check(cudaError_t result, const char* call, const char* file, int line) {
    if (result != cudaSuccess) fail_call(result, call, file, line);
}

}  // namespace sluice::kernels::cuda

#define SLUICE_CUDA_CHECK(call) ::sluice::kernels::cuda::check((call), #call, __FILE__, __LINE__)
