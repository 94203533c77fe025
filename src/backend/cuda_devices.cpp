#include "backend/devices.hpp"
#include "kernels/cuda/check.cuh"

#include <fmt/core.h>

#include <cuda_runtime_api.h>

namespace sluice {

std::vector<Device> cuda_devices() {
    int count = 0;  // left alone by the call when there is no driver
    if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
    std::vector<Device> devices;
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) return {};  // places are numbers
        devices.push_back({properties.name, fmt::format("sm_{}{}", properties.major, properties.minor),
                           properties.totalGlobalMem,
                           fmt::format("{:04x}:{:02x}:{:02x}", properties.pciDomainID, properties.pciBusID,
                                       properties.pciDeviceID)});
    }
    return devices;
}

std::string cuda_obstacle() {
    int count = 0;
    const cudaError_t answer = cudaGetDeviceCount(&count);
    if (answer != cudaSuccess) {
        cudaGetLastError();  // or the next check would find it
        return fmt::format("the NVIDIA driver cannot be used ({})", cudaGetErrorString(answer));
    }
    if (count == 0) return "the NVIDIA driver shows no device (CUDA_VISIBLE_DEVICES hides some)";
    if (cuda_devices().empty()) return "the NVIDIA driver does not describe its devices";
    return "";
}

std::string cuda_obstacle(int device) {
    const std::string obstacle = cuda_obstacle();
    return obstacle.empty() ? kernels::cuda::obstacle_of(device) : obstacle;
}

CudaMemory cuda_memory(int device) {
    std::size_t free = 0, total = 0;
    SLUICE_CUDA_CHECK(cudaSetDevice(device));
    SLUICE_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return {free, total};
}

}  // namespace sluice
