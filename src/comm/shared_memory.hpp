// Memory that processes of one machine share.
#pragma once

#include "comm/communicator.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice {

// `bytes_a_rank` (a multiple of 4096) times the ranks, all zero, the same memory on every rank; each rank's
// part lies on the NUMA node where the rank runs now, which is its own where it is bound to one. It has no
// name anywhere, so nothing stays behind whoever is killed. Null on every rank, with the reason in `problem`,
// where some rank cannot have it. Collective.
std::shared_ptr<std::byte> share_memory(Communicator& ranks, std::size_t bytes_a_rank, std::string& problem);

}  // namespace sluice
