// The heartbeat's own connections: a star around rank 0, apart from MPI, whose trouble it is to outlive.
#pragma once

#include "comm/communicator.hpp"
#include "comm/heartbeat_link.hpp"

#include <string>
#include <vector>

namespace sluice {

// Collective; tries for `patience` seconds. On rank 0 a link to each other rank, by its number; on the others
// one to rank 0. Empty on all ranks when one of them cannot connect; `problem` then says why, the same on
// all.
std::vector<HeartbeatLink> connect_star(Communicator& world, double patience, std::string& problem);

}  // namespace sluice
