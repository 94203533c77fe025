// Links between the ranks' GPUs by NCCL.
//
// NCCL only moves values here. Its own sums would be the same bits from run to run on the same machines with
// the same number of ranks and values, but add in an order that depends on all of these, and on where in the
// call a value stands: a row's bits would then depend on the rows beside it.
#pragma once

#include "comm/device_sums.hpp"

#include <memory>

namespace sluice {

// Collective over `ranks`, which must outlive the links, and on whose calls the ranks agree to start.
// `device`: the CUDA device that the calling thread uses; `stream`: its cudaStream_t that all is queued in.
// Every rank has a GPU of its own, or all throw an AgreedError that names who shares one (ExitCode::Usage, as
// in a build without NCCL). A later failure of NCCL's own, with a rank's connection say, is told to the
// heartbeat, which ends the job with its words.
std::unique_ptr<DeviceLinks> make_nccl_links(Communicator& ranks, int device, void* stream);

}  // namespace sluice
