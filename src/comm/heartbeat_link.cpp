#include "comm/heartbeat_link.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {
namespace {

static_assert(std::is_trivially_copyable_v<HeartbeatMessage>);

// Some hundred messages: who has not read those will not miss more.
constexpr std::size_t kMostWaiting = 64 * 1024;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

HeartbeatLink::HeartbeatLink(HeartbeatLink&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), in_(std::move(other.in_)), out_(std::move(other.out_)) {}

HeartbeatLink& HeartbeatLink::operator=(HeartbeatLink&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(in_, other.in_);
    std::swap(out_, other.out_);
    return *this;
}

void HeartbeatLink::close() {
    if (is_open()) ::close(socket_);
    socket_ = -1;
}

// A failure is receive()'s to find, behind what the peer said last.
void HeartbeatLink::send(const HeartbeatMessage& message) {
    if (!is_open()) return;
    if (out_.size() < kMostWaiting) out_.append(reinterpret_cast<const char*>(&message), sizeof message);
    const ssize_t sent = ::send(socket_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
}

std::optional<HeartbeatMessage> HeartbeatLink::receive() {
    std::array<char, 16 * sizeof(HeartbeatMessage)> buffer;
    while (is_open() && in_.size() < sizeof(HeartbeatMessage)) {
        const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count > 0) {
            in_.append(buffer.data(), static_cast<std::size_t>(count));
        } else if (count == 0 || !would_block()) {
            close();
        } else {
            break;
        }
    }
    if (in_.size() < sizeof(HeartbeatMessage)) return std::nullopt;
    HeartbeatMessage message;
    std::memcpy(&message, in_.data(), sizeof message);
    in_.erase(0, sizeof message);
    return message;
}

void wait_for_any(std::span<const HeartbeatLink> links, int waker, double seconds) {
    std::vector<pollfd> all{{waker, POLLIN, 0}};
    for (const HeartbeatLink& link : links) all.push_back({link.socket(), POLLIN, 0});  // -1 is passed over
    ::poll(all.data(), all.size(), seconds <= 0 ? 0 : static_cast<int>(std::ceil(seconds * 1000)));
}

}  // namespace sluice
