// The GPU that this process uses, without the vendor's headers.
#pragma once

#include "kernels/execution.hpp"

namespace sluice::kernels::cuda {

// Whether a GPU is there that the kernels are built for. Asked once; never an error, also without a driver.
bool available();

// Waits for everything in the execution's stream.
void synchronize(const Execution& execution);

// A call of the runtime failed: ends in an error that names it, its place, and what the runtime says.
[[noreturn]] void fail_call(int error, const char* call, const char* file, int line);

}  // namespace sluice::kernels::cuda
