// Who runs an operation, and with what.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::kernels {

// `Reference` is the slow truth: float32 (double where it helps), plain loops.
enum class Family : std::uint8_t { Reference, Cpu, Cuda };

struct Execution {
    int threads = 1;
    void* stream = nullptr;  // Cuda: the cudaStream_t that operations are queued in; null: the default one
    // Cuda: memory of the device for what Kernel::workspace asks for, aligned to 16 bytes; the operations of
    // a stream may share it.
    void* workspace = nullptr;
    std::size_t workspace_bytes = 0;
};

// Returns when everything that was queued has been done, and fails if some of it failed. The operations of
// the CPU and the reference are done when they return.
void synchronize(Family family, const Execution& execution);

}  // namespace sluice::kernels
