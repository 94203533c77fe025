// The accelerators of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct Device {
    std::string name;
    std::string architecture;  // "sm_90"; others round differently
    std::uint64_t memory = 0;  // bytes
    std::string bus;           // its place in the machine, whatever number it has for this process
};

// CUDA devices that the driver offers, each at the place of its number: none without a driver, or in a build
// without CUDA; never an error.
std::vector<Device> cuda_devices();

// What keeps this process from computing on any of them: the build, the driver, or that there is none. Empty:
// nothing. Asks no device.
std::string cuda_obstacle();
// Or on this one of them: that, or kernels that it cannot run. The calling thread uses it from now on.
std::string cuda_obstacle(int device);

struct CudaMemory {
    std::uint64_t free = 0, total = 0;  // bytes; free is what nobody has claimed
};

// Of one of them; what the driver takes by itself is not free.
CudaMemory cuda_memory(int device);

}  // namespace sluice
