// The accelerators of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct Device {
    std::string name;
    std::uint64_t memory = 0;  // bytes
    std::string bus;           // its place in the machine, whatever number it has for this process
};

// CUDA devices that the driver offers: none without a driver, or in a build without CUDA; never an error.
std::vector<Device> cuda_devices();

// What keeps this process from computing on them: the build, the driver, no device, or one that is too old.
// Empty: nothing.
std::string cuda_obstacle();

// Bytes that nobody has claimed of a device of cuda_devices(), but for what the driver takes by itself.
std::uint64_t cuda_free_memory(int device);

}  // namespace sluice
