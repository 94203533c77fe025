// The accelerators of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct Device {
    std::string name;
    std::uint64_t memory = 0;  // bytes
};

// CUDA devices that the driver offers: none without a driver, or in a build without CUDA; never an error.
std::vector<Device> cuda_devices();

}  // namespace sluice
