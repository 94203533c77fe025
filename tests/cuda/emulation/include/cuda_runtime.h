// A stand-in for the CUDA toolkit's header of this name: what kernels/cuda uses of it, on the host.
#pragma once

#include "cuda/emulation/device.hpp"
#include "cuda/emulation/runtime.hpp"
