#include "backend/available_memory.hpp"

#include "backend/devices.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace sluice {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t read_number(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    return file >> value ? value : kUnlimited;
}

// The value of `key` in a file of "key value" lines, 0 without.
std::uint64_t read_key(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    std::string name;
    for (std::uint64_t value = 0; file >> name >> value;) {
        if (name == key) return value;
    }
    return 0;
}

// What one control group (version 2) leaves of its limit; its file cache can be given up.
std::uint64_t group_leaves(const std::string& path) {
    const std::uint64_t limit = read_number(path + "/memory.max");
    const std::uint64_t used = read_number(path + "/memory.current");
    if (limit == kUnlimited || used == kUnlimited) return kUnlimited;
    const std::string detail = path + "/memory.stat";
    const std::uint64_t cache = read_key(detail, "inactive_file") + read_key(detail, "active_file");
    const std::uint64_t kept = used > cache ? used - cache : 0;
    return limit > kept ? limit - kept : 0;
}

// The least that this process's group and those around it leave: Slurm limits the job's, not the task's.
std::uint64_t control_groups_leave() {
    std::string path;
    std::ifstream membership("/proc/self/cgroup");
    for (std::string line; std::getline(membership, line);) {
        if (line.starts_with("0::")) path = line.substr(3);
    }
    std::uint64_t least = group_leaves("/sys/fs/cgroup");
    for (; path.size() > 1; path.resize(path.rfind('/')))
        least = std::min(least, group_leaves("/sys/fs/cgroup" + path));
    return least;
}

// The arrays of a step, recorded steps (of at most 16 sizes, each with a node for every operation and what
// moves its sums), and what the driver and libraries, NCCL with its buffers among them, take when they are
// first used; and claims are rounded up.
constexpr std::uint64_t kReserve = std::uint64_t{1} << 30;
constexpr std::uint64_t kReservedShare = 64;

}  // namespace

std::uint64_t available_host_memory() {
    std::uint64_t available = kUnlimited;
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(13)) * 1024;
    }
    return std::min(available, control_groups_leave());
}

std::uint64_t claimable_memory(std::uint64_t free, std::uint64_t total) {
    const std::uint64_t reserve = std::max(kReserve, total / kReservedShare);
    return free > reserve ? free - reserve : 0;
}

std::uint64_t available_memory(kernels::Family family, int device) {
    if (family != kernels::Family::Cuda) return available_host_memory();
    const CudaMemory memory = cuda_memory(device);
    return claimable_memory(memory.free, memory.total);
}

}  // namespace sluice
