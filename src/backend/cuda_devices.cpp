#include "backend/devices.hpp"

#include <cuda_runtime_api.h>

namespace sluice {

std::vector<Device> cuda_devices() {
    int count = 0;  // left alone by the call when there is no driver
    if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
    std::vector<Device> devices;
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
        devices.push_back({properties.name, properties.totalGlobalMem});
    }
    return devices;
}

}  // namespace sluice
