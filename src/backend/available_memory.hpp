// How much memory there is to claim.
#pragma once

#include "kernels/execution.hpp"

#include <cstdint>

namespace sluice {

// Memory this process may still take: what the system has available, or its control group's limit leaves.
std::uint64_t available_host_memory();

// The same of the memory that a family's operations work on, on a device of its kind (Backend).
std::uint64_t available_memory(kernels::Family family, int device);

}  // namespace sluice
