#include "comm/topology.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <string>
#include <system_error>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The first line; "" if there is none.
std::string line_of(const fs::path& file) {
    std::string line;
    std::ifstream stream(file);
    std::getline(stream, line);
    return line;
}

// The folders PREFIX0, PREFIX1, ... in the order of their numbers.
std::map<int, fs::path> numbered(const fs::path& folder, const std::string& prefix) {
    std::map<int, fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (!name.starts_with(prefix)) continue;
        int number = -1;
        const char* last = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + prefix.size(), last, number);
        if (parsed.ec == std::errc() && parsed.ptr == last && number >= 0) found[number] = entry->path();
    }
    return found;
}

int number_in(const fs::path& file, int otherwise) {
    const std::string line = line_of(file);
    int number = otherwise;
    std::from_chars(line.data(), line.data() + line.size(), number);
    return std::max(number, 0);  // -1: the kernel does not know
}

}  // namespace

std::vector<int> cpus_of_list(const std::string& text) {
    constexpr int kMost = 1 << 16;
    std::vector<int> cpus;
    const char* at = text.data();
    const char* const end = at + text.size();
    for (;;) {
        int first = 0;
        auto parsed = std::from_chars(at, end, first);
        if (parsed.ec != std::errc()) return cpus;
        int last = first;
        if (parsed.ptr != end && *parsed.ptr == '-') parsed = std::from_chars(parsed.ptr + 1, end, last);
        if (parsed.ec != std::errc() || last - first > kMost) return cpus;
        for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
        if (parsed.ptr == end || *parsed.ptr != ',') return cpus;
        at = parsed.ptr + 1;
    }
}

std::vector<CpuPlace> read_topology(const fs::path& system) {
    std::map<int, int> node_of;
    for (const auto& [node, folder] : numbered(system / "node", "node"))
        for (const int cpu : cpus_of_list(line_of(folder / "cpulist"))) node_of[cpu] = node;
    std::vector<CpuPlace> places;
    for (const auto& [cpu, folder] : numbered(system / "cpu", "cpu")) {
        CpuPlace place{.cpu = cpu, .core = cpu};
        place.package = number_in(folder / "topology/physical_package_id", 0);
        if (const auto node = node_of.find(cpu); node != node_of.end()) place.node = node->second;
        const std::vector<int> siblings = cpus_of_list(line_of(folder / "topology/thread_siblings_list"));
        if (std::ranges::find(siblings, cpu) != siblings.end()) place.core = siblings.front();
        places.push_back(place);
    }
    return places;
}

}  // namespace sluice
