// A stand-in for the CUDA toolkit's header of this name: the calls that Sluice makes, on the host.
#pragma once

#include "cuda/emulation/runtime.hpp"
