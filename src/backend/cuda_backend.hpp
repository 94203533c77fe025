// The backend of NVIDIA GPUs. Builds without CUDA have it, too, to say so.
#pragma once

#include "backend/backend.hpp"

namespace sluice {

// The calling thread uses this device from now on.
std::unique_ptr<Backend> make_cuda_backend(int device);

}  // namespace sluice
