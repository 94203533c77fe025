// How every kernel is launched: a plain call, checked, that an emulation of the runtime can take.
#pragma once

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/overlap.cuh"

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cuda {

// Above 48 KiB, with what a kernel has of its own, shared memory must be asked for by name.
inline constexpr std::size_t kPlainSharedBytes = 32 * 1024;

// Queues kernel(arguments...) over the grid in the execution's stream, where it may overlap with the launch
// before (overlap.cuh). An error of the kernel itself shows when the stream is synchronised.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            const Execution& execution, const Arguments&... arguments) {
    if (shared_bytes > kPlainSharedBytes)
        allow_shared_memory(reinterpret_cast<const void*>(kernel), static_cast<int>(shared_bytes));
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    const cudaLaunchConfig_t config{grid,         block,
                                    shared_bytes, static_cast<cudaStream_t>(execution.stream),
                                    &overlap,     launches_overlap() ? 1U : 0U};
    SLUICE_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
}

// Blocks of `each` that hold `work`.
inline unsigned blocks_of(std::int64_t work, std::int64_t each) {
    return static_cast<unsigned>((work + each - 1) / each);
}

}  // namespace sluice::kernels::cuda
