#include "backend/cuda_backend.hpp"
#include "backend/devices.hpp"
#include "core/error.hpp"

namespace sluice {

std::vector<Device> cuda_devices() { return {}; }

std::string cuda_obstacle() {
    return "this program was built without CUDA (build it with -DSLUICE_CUDA=ON where nvcc is)";
}

std::string cuda_obstacle(int) { return cuda_obstacle(); }

CudaMemory cuda_memory(int) { return {}; }

std::unique_ptr<Backend> make_cuda_backend(int) {
    fail(ExitCode::Usage, "no GPU to compute on: {}", cuda_obstacle());
}

}  // namespace sluice
