// What the ranks of a job compute on, and how what they compute comes together.
#pragma once

#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "kernels/execution.hpp"

#include <string>

namespace sluice {

struct ComputeDevice {
    kernels::Family family = kernels::Family::Cpu;
    int device = 0;        // of its kind, on this rank's machine
    int sharing = 1;       // ranks that claim memory there
    bool linked = false;   // the ranks' GPUs are, by NCCL: partial results need not go by way of the host
    std::string level;     // results are equal among ranks of one level: "avx512", "sm_90a"
    std::string to_level;  // what to do where ranks have different ones
    std::string name;      // for people: the level, or the GPU's name with its level
    std::string without;   // why auto takes no GPU
    std::string unlinked;  // why auto does not link the GPUs of several ranks
};

// `device`: auto (the CPU so far), cpu or cuda. `comm`: nccl links the ranks' GPUs; so does auto where
// several ranks have GPUs of their own; self and mpi do not. Ranks of one machine take its GPUs in turn.
// Collective; AgreedError, saying what is missing or who shares a GPU, where cuda or nccl cannot be had.
ComputeDevice choose_compute_device(Communicator& world, const std::string& device, const std::string& comm,
                                    const Placement& placement);

}  // namespace sluice
