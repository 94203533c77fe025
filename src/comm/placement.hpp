// Where the ranks sit, and how many threads each should run.
#pragma once

#include "comm/communicator.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace sluice {

struct Placement {
    int local_rank = 0;  // among the ranks on this machine
    int local_size = 1;  // ranks on this machine
    int threads = 1;     // this rank's fair share of the CPUs it may run on
};

// What one rank tells the others. The machine is named by the kernel's boot id (the same in every container).
struct MachineRecord {
    std::array<char, 64> machine{};
    std::array<std::uint64_t, 16> cpus{};  // bit mask of the CPUs this rank may run on
};

MachineRecord this_machine();

// As people call this machine.
std::string host_name();

// A CPU that k ranks may use counts 1/k: right for ranks that share all CPUs as for ranks bound to their own.
Placement placement_of(std::span<const MachineRecord> all, int rank);

// Collective.
Placement find_placement(Communicator& comm);

}  // namespace sluice
