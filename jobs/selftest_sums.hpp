// What the collectives give is compared with what they must give, and timed.
#pragma once

#include "backend/ops.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"

#include <cstddef>
#include <string>

namespace sluice {

// Sums of `count` floats over all ranks against the same sums taken here, bit by bit: what is wrong on this
// rank; empty: nothing. Collective, as all here.
std::string wrong_sums(Communicator& world, std::size_t count);
// The same of `sums`, over the ranks of `world`, of values in the memory of `ops`.
std::string wrong_device_sums(Communicator& world, const Ops& ops, DeviceSums& sums, std::size_t count);

// `count` bytes from `root`, and `count` bytes of every rank: likewise.
std::string wrong_broadcast(Communicator& world, std::size_t count, int root);
std::string wrong_gather(Communicator& world, std::size_t count);

// Medians of some repeats on this rank, in seconds.
double all_reduce_seconds(Communicator& world, std::size_t count);
double barrier_seconds(Communicator& world);

}  // namespace sluice
