// Collectives through shared memory, for ranks that are processes.
#pragma once

#include "comm/communicator.hpp"
#include "comm/placement.hpp"

#include <functional>
#include <memory>
#include <span>

namespace sluice {

// `messages`, with its calls replaced by what is faster and has the same results: through shared memory where
// all ranks are on one machine; sums first within machines and then between them, where the order of
// the sums allows it (communicator.hpp): every machine has the same power of two of neighbouring ranks.
// `messages` itself where neither is possible or some rank's environment says SLUICE_SHARED_MEMORY=off.
// `crowded`: this machine has fewer CPUs than ranks, also of other communicators (is_crowded).
// `while_waiting` is called now and then in a long wait. Collective. AgreedError where some rank's
// environment says neither on nor off.
std::unique_ptr<Communicator> make_shared_sums(std::unique_ptr<Communicator> messages, bool crowded,
                                               std::function<void()> while_waiting);

// Whether, of all ranks of a job, two on this one's machine share a CPU and have none to change to.
bool is_crowded(std::span<const MachineRecord> all, int rank);

// How many neighbouring ranks sum first: all, where they are on one machine; the number of neighbours on
// every machine, where that is the same power of two; else 1.
int block_of(std::span<const MachineRecord> records);

// `messages`, with sums taken first among the ranks of a block of `block` neighbours, a power of two that
// divides the number of ranks; then between blocks. Collective.
std::unique_ptr<Communicator> make_in_blocks(std::unique_ptr<Communicator> messages, int block);

}  // namespace sluice
