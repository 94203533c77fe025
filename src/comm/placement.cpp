#include "comm/placement.hpp"

#include "comm/collectives.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

namespace sluice {
namespace {

bool allows(const MachineRecord& record, std::size_t cpu) {
    return (record.cpus[cpu / 64] >> (cpu % 64) & 1U) != 0;
}

}  // namespace

MachineRecord this_machine() {
    MachineRecord record;
    std::string name;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> name;
    if (name.empty()) {
        gethostname(record.machine.data(), record.machine.size() - 1);
    } else {
        std::copy_n(name.begin(), std::min(name.size(), record.machine.size() - 1), record.machine.begin());
    }
    static_assert(sizeof(cpu_set_t) == sizeof(record.cpus));
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        std::memcpy(record.cpus.data(), &allowed, sizeof allowed);
    } else {  // more CPUs than the mask can name
        const std::size_t count = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 1024);
        for (std::size_t cpu = 0; cpu < count; ++cpu) record.cpus[cpu / 64] |= std::uint64_t{1} << (cpu % 64);
    }
    return record;
}

std::string host_name() {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    return name.data();
}

Placement placement_of(std::span<const MachineRecord> all, int rank) {
    const MachineRecord& mine = all[static_cast<std::size_t>(rank)];
    Placement placement{.local_rank = 0, .local_size = 0, .threads = 0};
    for (std::size_t other = 0; other < all.size(); ++other) {
        if (all[other].machine != mine.machine) continue;
        ++placement.local_size;
        if (other < static_cast<std::size_t>(rank)) ++placement.local_rank;
    }
    double share = 0;
    for (std::size_t cpu = 0; cpu < 64 * mine.cpus.size(); ++cpu) {
        if (!allows(mine, cpu)) continue;
        const auto sharing = std::ranges::count_if(all, [&](const MachineRecord& other) {
            return other.machine == mine.machine && allows(other, cpu);
        });
        share += 1.0 / static_cast<double>(sharing);
    }
    placement.threads = std::max(1, static_cast<int>(share + 1e-6));  // thirds may add up to a hair under 1
    return placement;
}

Placement find_placement(Communicator& comm) {
    return placement_of(gather_values(comm, this_machine()), comm.rank());
}

}  // namespace sluice
