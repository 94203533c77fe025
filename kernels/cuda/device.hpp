// The GPU that this process uses, without the vendor's headers.
#pragma once

#include "kernels/execution.hpp"

#include <string>

namespace sluice::kernels::cuda {

// What keeps the kernels from running on a device, by the driver's number: it is too old, they are not built
// for it, or the driver refuses it. Empty: nothing. Never an error. The calling thread uses this device from
// now on, which takes some of its memory.
std::string obstacle_of(int device);

// Whether the kernels run on the device that the calling thread uses. Asked once; never an error, also
// without a driver.
bool available();

// Whether, besides, that device and what was built for it have wgmma (sm_90a).
bool has_wgmma();

// Whether launches of a stream overlap (overlap.cuh): where the kernels were compiled for that, unless
// SLUICE_OVERLAP is off.
bool launches_overlap();
// ExitCode::Usage for a value that it cannot have.
void check_overlap_wish();

// Waits for everything in the execution's stream.
void synchronize(const Execution& execution);

// A call of the runtime failed: ends in an error that names it, its place, and what the runtime says.
[[noreturn]] void fail_call(int error, const char* call, const char* file, int line);

}  // namespace sluice::kernels::cuda
