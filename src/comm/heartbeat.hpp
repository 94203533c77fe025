// Ends the job, with a message that names the rank, when a rank dies, hangs or disagrees with the others.
#pragma once

#include "comm/communicator.hpp"

#include <chrono>
#include <memory>

namespace sluice {

// From here on every rank tells rank 0 each second what it is doing (comm/rank_state.hpp), and rank 0 judges.
// A rank that dies ends the job at once. One that is silent for `limit`, that moves nothing for so long while
// others wait in a collective, or that waits for so long in a collective nobody else is in, does so then; one
// whose transport fails by itself (TransportProbe), a second later, and that without a limit, too. The rank
// that knows logs who, where and in which step, and the processes end with exit code 1; a rank that is ending
// with an error of its own by then keeps its exit code. It needs the notes of make_watched. Collective, as
// its end need not be.
class Heartbeat {
public:
    Heartbeat(Communicator& world, std::chrono::seconds limit);
    Heartbeat(const Heartbeat&) = delete;
    Heartbeat& operator=(const Heartbeat&) = delete;
    // Says goodbye to the others; does not wait for them. During unwinding it tells them that an error ends
    // this rank, so that its end does not pass for a death: Communicator::abort() is for after that.
    ~Heartbeat();

private:
    class Watch;
    std::unique_ptr<Watch> watch_;  // null: one rank
};

}  // namespace sluice
