// Which ranks have the same GPU.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// What one rank tells the others. A GPU is its machine's boot id and its place on the PCI bus, whatever
// number the rank knows it by.
struct DeviceRecord {
    std::array<char, 64> machine{};
    std::array<char, 64> host{};
    std::array<char, 32> bus{};
};

// This machine's GPU at `bus` ("0000:17:00").
DeviceRecord this_device(std::string_view bus);

// How many ranks have the same GPU as `rank`, that one included.
int ranks_sharing(std::span<const DeviceRecord> all, int rank);

// "ranks 0 and 1 share GPU 0000:17:00 of host n1; ..." for every GPU that several ranks have; else "".
std::string shared_devices(std::span<const DeviceRecord> all);

}  // namespace sluice
