// How a machine's CPUs are built: sockets, NUMA nodes, cores and their threads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

// A CPU as the kernel numbers them: one thread of a core.
struct CpuPlace {
    int cpu = 0;
    int package = 0;  // the socket
    int node = 0;     // the NUMA node
    int core = 0;     // the lowest CPU of its core
};

// Of this machine's CPUs, or of those that another folder like the kernel's describes, in their order. What
// is not said there is as on a machine of one socket whose cores have one thread each; nothing there: none.
std::vector<CpuPlace> read_topology(const std::filesystem::path& system = "/sys/devices/system");

// "0-3,8" -> 0 1 2 3 8. What is no such list ends it.
std::vector<int> cpus_of_list(const std::string& text);

}  // namespace sluice
