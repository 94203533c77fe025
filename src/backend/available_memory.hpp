// How much memory there is to claim.
#pragma once

#include "kernels/execution.hpp"

#include <cstdint>

namespace sluice {

// Memory this process may still take: what the system has available, or its control group's limit leaves.
std::uint64_t available_host_memory();

// Of a device with a memory of its own, of `total` bytes: what may be claimed where so many are free. The
// rest is for what no plan counts.
std::uint64_t claimable_memory(std::uint64_t free, std::uint64_t total);

// What may be claimed of the memory that a family's operations work on, on a device of its kind (Backend).
std::uint64_t available_memory(kernels::Family family, int device);

}  // namespace sluice
