#include "comm/shared_devices.hpp"

#include "comm/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

template <std::size_t N>
void put(std::string_view text, std::array<char, N>& into) {
    std::ranges::copy(text.substr(0, N - 1), into.begin());
}

bool same_device(const DeviceRecord& a, const DeviceRecord& b) {
    return a.machine == b.machine && a.bus == b.bus;
}

// "0, 1 and 4"
std::string list_of(const std::vector<std::size_t>& ranks) {
    std::string text = fmt::format("{}", ranks.front());
    for (std::size_t i = 1; i < ranks.size(); ++i)
        text += fmt::format("{}{}", i + 1 < ranks.size() ? ", " : " and ", ranks[i]);
    return text;
}

}  // namespace

DeviceRecord this_device(std::string_view bus) {
    DeviceRecord record;
    record.machine = this_machine().machine;
    put(host_name(), record.host);
    put(bus, record.bus);
    return record;
}

int ranks_sharing(std::span<const DeviceRecord> all, int rank) {
    const DeviceRecord& mine = all[static_cast<std::size_t>(rank)];
    return static_cast<int>(
        std::ranges::count_if(all, [&](const DeviceRecord& other) { return same_device(mine, other); }));
}

std::string shared_devices(std::span<const DeviceRecord> all) {
    std::string text;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        std::vector<std::size_t> sharers;
        for (std::size_t other = 0; other < all.size(); ++other) {
            if (same_device(all[rank], all[other])) sharers.push_back(other);
        }
        if (sharers.size() == 1 || sharers.front() != rank) continue;
        text += fmt::format("{}ranks {} share GPU {} of host {}", text.empty() ? "" : "; ", list_of(sharers),
                            all[rank].bus.data(), all[rank].host.data());
    }
    return text;
}

}  // namespace sluice
