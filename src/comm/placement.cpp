#include "comm/placement.hpp"

#include "comm/collectives.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

bool allows(const MachineRecord& record, std::size_t cpu) {
    return (record.cpus[cpu / 64] >> (cpu % 64) & 1U) != 0;
}

// Neighbours by socket, NUMA node and core.
std::tuple<int, int, int, int> order_of(const CpuPlace& place) {
    return {place.package, place.node, place.core, place.cpu};
}

// Of CPUs in the order of their cores.
std::vector<int> one_thread_a_core_first(std::span<const CpuPlace> places) {
    std::vector<std::pair<int, int>> ordered;  // a CPU's number within its core, and the CPU
    for (std::size_t i = 0; i < places.size(); ++i) {
        const bool same_core = i > 0 && places[i].core == places[i - 1].core;
        ordered.emplace_back(same_core ? ordered.back().first + 1 : 0, places[i].cpu);
    }
    std::ranges::stable_sort(ordered, {}, &std::pair<int, int>::first);
    std::vector<int> cpus;
    for (const auto& [number, cpu] : ordered) cpus.push_back(cpu);
    return cpus;
}

// Ranks that may run on the same CPUs of the same machine.
bool alike(const MachineRecord& a, const MachineRecord& b) {
    return a.machine == b.machine && a.cpus == b.cpus;
}

// How many ranks on the machine of `mine` may run on a CPU.
std::ptrdiff_t sharing(std::span<const MachineRecord> all, const MachineRecord& mine, std::size_t cpu) {
    return std::ranges::count_if(
        all, [&](const MachineRecord& other) { return other.machine == mine.machine && allows(other, cpu); });
}

// The CPUs of all ranks that are like `mine`, in the order of their places. Every kind of ranks, in the order
// of their first ones, claims its share: CPUs that no kind before it has, and first those that the fewest
// ranks may run on.
std::vector<CpuPlace> claim(std::span<const CpuPlace> machine, std::span<const MachineRecord> all,
                            const MachineRecord& mine) {
    std::vector<int> taken;
    for (std::size_t first = 0; first < all.size(); ++first) {
        const MachineRecord& kind = all[first];
        const auto same = [&](const MachineRecord& other) { return alike(other, kind); };
        if (kind.machine != mine.machine || std::ranges::any_of(all.first(first), same)) continue;
        std::vector<CpuPlace> allowed;
        for (const CpuPlace& place : machine) {
            const auto cpu = static_cast<std::size_t>(place.cpu);
            if (cpu < 64 * kind.cpus.size() && allows(kind, cpu)) allowed.push_back(place);
        }
        std::ranges::sort(allowed, {}, [&](const CpuPlace& place) {
            const bool gone = std::ranges::find(taken, place.cpu) != taken.end();
            return std::tuple(gone, sharing(all, kind, static_cast<std::size_t>(place.cpu)), order_of(place));
        });
        const auto ranks = static_cast<std::size_t>(std::ranges::count_if(all, same));
        const double share = static_cast<double>(ranks) * share_of_cpus(all, static_cast<int>(first));
        const std::size_t count = std::max(ranks, static_cast<std::size_t>(share));
        allowed.resize(std::min(count, allowed.size()));
        for (const CpuPlace& place : allowed) taken.push_back(place.cpu);
        if (!same(mine)) continue;
        std::ranges::sort(allowed, {}, order_of);
        return allowed;
    }
    return {};
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

double share_of_cpus(std::span<const MachineRecord> all, int rank) {
    const MachineRecord& mine = all[static_cast<std::size_t>(rank)];
    double share = 0;
    for (std::size_t cpu = 0; cpu < 64 * mine.cpus.size(); ++cpu) {
        if (allows(mine, cpu)) share += 1.0 / static_cast<double>(sharing(all, mine, cpu));
    }
    return share + 1e-6;  // thirds may add up to a hair under 1
}

std::vector<int> cpus_for(std::span<const CpuPlace> machine, std::span<const MachineRecord> all, int rank) {
    const MachineRecord& mine = all[static_cast<std::size_t>(rank)];
    const auto before = static_cast<std::size_t>(std::ranges::count_if(
        all.first(static_cast<std::size_t>(rank)), [&](const auto& other) { return alike(other, mine); }));
    const std::vector<CpuPlace> claimed = claim(machine, all, mine);
    if (claimed.empty()) return {};
    const auto sharers = static_cast<std::size_t>(
        std::ranges::count_if(all, [&](const auto& other) { return alike(other, mine); }));
    const std::size_t count = std::max<std::size_t>(1, claimed.size() / sharers);
    return one_thread_a_core_first(std::span(claimed).subspan(before * claimed.size() / sharers, count));
}

Placement placement_of(std::span<const MachineRecord> all, int rank) {
    const MachineRecord& mine = all[static_cast<std::size_t>(rank)];
    Placement placement{.local_rank = 0, .local_size = 0, .threads = 0, .crowded = false, .cpus = {}};
    for (std::size_t other = 0; other < all.size(); ++other) {
        if (all[other].machine != mine.machine) continue;
        ++placement.local_size;
        if (other < static_cast<std::size_t>(rank)) ++placement.local_rank;
    }
    const double share = share_of_cpus(all, rank);
    placement.threads = std::max(1, static_cast<int>(share));
    placement.crowded = share < 1;
    return placement;
}

Placement find_placement(Communicator& comm) {
    const std::vector<MachineRecord> all = gather_values(comm, this_machine());
    Placement placement = placement_of(all, comm.rank());
    placement.cpus = cpus_for(read_topology(), all, comm.rank());
    return placement;
}

std::vector<int> cpus_to_keep(const Placement& placement, int threads) {
    if (placement.local_size == 1 || placement.crowded || threads > std::ssize(placement.cpus)) return {};
    return placement.cpus;
}

void keep_threads_on(std::span<const int> cpus) {
    if (cpus.empty()) return;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &mask);
    sched_setaffinity(0, sizeof mask, &mask);  // a wish: its refusal costs only speed
}

}  // namespace sluice
