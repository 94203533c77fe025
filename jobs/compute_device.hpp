// What the ranks of a job compute on.
#pragma once

#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "kernels/execution.hpp"

#include <string>

namespace sluice {

struct ComputeDevice {
    kernels::Family family = kernels::Family::Cpu;
    int device = 0;       // of its kind, on this rank's machine
    int sharing = 1;      // ranks that claim memory there
    std::string level;    // results are equal among ranks of one level: "avx512", "sm_90"
    std::string name;     // for people: the level, or the GPU's name
    std::string without;  // why auto takes no GPU
};

// `device`: auto (the CPU so far), cpu or cuda. Ranks of one machine take its GPUs in turn. Collective;
// AgreedError, saying what is missing, where cuda cannot be had.
ComputeDevice choose_compute_device(Communicator& world, const std::string& device,
                                    const Placement& placement);

}  // namespace sluice
