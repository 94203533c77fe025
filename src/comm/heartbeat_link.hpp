// What the heartbeat's ranks tell each other, and a connection that carries it.
#pragma once

#include "comm/heartbeat_verdict.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sluice {

// As it is in memory: the ranks of a job run the same program.
struct HeartbeatMessage {
    enum class Kind : std::uint32_t {
        Greeting,  // rank 0's first, to whoever calls
        Hello,     // a rank's answer
        Welcome,   // rank 0's answer to that
        Chosen,    // this is the one that the rank keeps of its connections to rank 0
        Report,    // to rank 0, and back with rank 0's own
        Goodbye,   // this rank leaves in good order
        Ending,    // a rank ends the job with an error of its own: nobody is to be judged any more
        End,       // the verdict is spoken: end at once
    };
    Kind kind = Kind::Report;
    std::int32_t rank = 0;
    std::uint64_t nonce = 0, proof = 0;  // of the first four, as heartbeat_star.cpp says
    HeartbeatReport report;
};

// One connection, or none. Nothing here waits.
class HeartbeatLink {
public:
    explicit HeartbeatLink(int socket = -1) : socket_(socket) {}
    HeartbeatLink(HeartbeatLink&& other) noexcept;
    HeartbeatLink& operator=(HeartbeatLink&& other) noexcept;
    ~HeartbeatLink() { close(); }

    int socket() const { return socket_; }
    bool is_open() const { return socket_ >= 0; }
    void close();

    // What a peer does not take for long is dropped.
    void send(const HeartbeatMessage& message);
    // The next whole message. When there is none and the connection ended: closes it.
    std::optional<HeartbeatMessage> receive();

private:
    int socket_;
    std::string in_, out_;
};

// Waits until one of them has something to read, at most so long; `waker` is another descriptor.
void wait_for_any(std::span<const HeartbeatLink> links, int waker, double seconds);

}  // namespace sluice
