// Links between the ranks' GPUs by NCCL.
//
// NCCL only moves values here. Its own sums would be the same bits from run to run on the same machines with
// the same number of ranks and values, but add in an order that depends on all of these, and on where in the
// call a value stands: a row's bits would then depend on the rows beside it.
#pragma once

#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"
#include "comm/shared_devices.hpp"

#include <memory>
#include <span>
#include <string>

namespace sluice {

// What keeps NCCL from linking the ranks' GPUs: the build has no NCCL, or ranks share a GPU. Empty: nothing.
std::string nccl_obstacle(std::span<const DeviceRecord> all);

// Collective over `ranks`, which have no obstacle, and on whose calls they agree to start. Links the GPUs
// that the calling threads use; `stream`: its cudaStream_t that all is queued in. What NCCL's own threads
// meet later, with a rank's connection say, is told to the heartbeat, which ends the job with its words.
std::unique_ptr<DeviceLinks> make_nccl_links(Communicator& ranks, void* stream);

}  // namespace sluice
