// Where the ranks sit, and how many threads each should run.
#pragma once

#include "comm/communicator.hpp"
#include "comm/topology.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice {

struct Placement {
    int local_rank = 0;    // among the ranks on this machine
    int local_size = 1;    // ranks on this machine
    int threads = 1;       // this rank's fair share of the CPUs it may run on
    bool crowded = false;  // that share is less than a CPU
    // Where those threads run best, best first; no other rank's where there are enough. Empty where the
    // machine does not say which CPUs it has.
    std::vector<int> cpus;
};

// What one rank tells the others. The machine is named by the kernel's boot id (the same in every container).
struct MachineRecord {
    std::array<char, 64> machine{};
    std::array<std::uint64_t, 16> cpus{};  // bit mask of the CPUs this rank may run on
};

MachineRecord this_machine();

// As people call this machine.
std::string host_name();

// The CPUs a rank may run on, of which one that k ranks may use counts 1/k: right for ranks that share all
// CPUs as for ranks bound to their own.
double share_of_cpus(std::span<const MachineRecord> all, int rank);

// The rank's part of the CPUs it may run on, as many as its share: ranks that may run on the same ones divide
// them, and neighbours by socket, NUMA node and core go to one rank. Of CPUs that ranks bound in other ways
// may run on, too, those of lower rank claim theirs first. The first threads of the rank's cores come first.
std::vector<int> cpus_for(std::span<const CpuPlace> machine, std::span<const MachineRecord> all, int rank);

// All but the CPUs, which the machine must be asked for.
Placement placement_of(std::span<const MachineRecord> all, int rank);

// Collective.
Placement find_placement(Communicator& comm);

// Where to keep this rank's threads, so that ranks of a machine stay out of each other's way; empty: wherever
// they may run. That is so of a rank alone, for other programs may be on the machine, which would choose the
// same CPUs; of ranks more than CPUs; and of more threads than CPUs.
std::vector<int> cpus_to_keep(const Placement& placement, int threads);

// From now on the calling thread and those that it starts run on these CPUs alone; on all that they may where
// the list is empty or the system refuses. Not one CPU a thread: threads that read and write come later, and
// would have the CPU of the thread that starts them.
void keep_threads_on(std::span<const int> cpus);

}  // namespace sluice
