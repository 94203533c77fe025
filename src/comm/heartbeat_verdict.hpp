// Judging from what the ranks report whether the job can still go on. No clock, no sockets.
#pragma once

#include "comm/rank_state.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sluice {

// A rank's state as it travels.
struct HeartbeatReport {
    std::array<char, 48> activity{};
    std::array<char, 24> collective{};  // empty: in none
    std::int64_t step = -1;
    std::uint64_t number = 0, bytes = 0;
    double idle = 0;
    std::uint32_t group = 0;
    std::uint32_t open_ended = 0;
};

HeartbeatReport report_of(const RankState& state);

// What is known of one rank. Times are seconds of the judge's clock.
struct RankNews {
    enum class Link { Up, Left, Lost };  // Left: it said goodbye

    std::string who;         // "host n2, pid 123"
    HeartbeatReport report;  // the last one
    double heard = 0;        // when it came
    double since = 0;        // when the first that names the same call came
    Link link = Link::Up;
};

// A report came at `now`.
void take_report(RankNews& news, const HeartbeatReport& report, double now);

// Whether this rank died, or has been silent for longer than `limit`: the message that ends the job.
std::optional<std::string> loss_of(const RankNews& news, int rank, int size, double now, double limit);

// The same of all ranks, in rank order; then: whether one hangs while others wait for it, or all wait and
// nothing can come of it.
std::optional<std::string> verdict(std::span<const RankNews> all, double now, double limit);

}  // namespace sluice
