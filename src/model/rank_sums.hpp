// Sums over the ranks of what operations left in their memory.
#pragma once

#include "backend/ops.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"

#include <memory>
#include <string_view>

namespace sluice {

// By this name a clock is told of what links move: from when it could begin to when it is there, which is
// also the wait for other ranks.
inline constexpr std::string_view kLinksName = "links";

// `links`: between the devices that the ranks' operations work on; null: by way of the host, if that is not
// where they work anyway. `ops` and `ranks` must outlive the sums.
std::unique_ptr<DeviceSums> make_rank_sums(const Ops& ops, Communicator& ranks,
                                           std::unique_ptr<DeviceLinks> links = nullptr);

}  // namespace sluice
