#include "comm/heartbeat_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Seconds after which ranks in calls of one number that differ are taken at their word: they never meet.
constexpr double kSettled = 2;

template <std::size_t N>
std::array<char, N> short_text(const char* text) {
    std::array<char, N> copy{};
    if (text != nullptr) {
        const std::string_view all(text);
        std::ranges::copy(all.substr(0, N - 1), copy.begin());
    }
    return copy;
}

bool waits(const RankNews& news) {
    return news.link == RankNews::Link::Up && news.report.collective[0] != '\0';
}

double idle(const RankNews& news, double now) { return news.report.idle + now - news.heard; }

std::string call_of(const HeartbeatReport& report, bool with_bytes) {
    return fmt::format("{} (number {}{})", report.collective.data(), report.number,
                       with_bytes && report.bytes > 0 ? fmt::format(", {} bytes", report.bytes) : "");
}

// "in step 17, computing"
std::string place_of(const HeartbeatReport& report) {
    const std::string what =
        report.collective[0] != '\0' ? "in " + call_of(report, false) : std::string(report.activity.data());
    return report.step < 0 ? what : fmt::format("in step {}, {}", report.step, what);
}

std::string name_of(const RankNews& news, std::size_t rank, std::size_t size) {
    return fmt::format("rank {} of {} ({})", rank, size, news.who);
}

// "rank 3", "ranks 0, 2-7"
std::string ranks_text(const std::vector<std::size_t>& ranks) {
    std::string text = ranks.size() == 1 ? "rank " : "ranks ";
    for (std::size_t first = 0; first < ranks.size();) {
        std::size_t last = first;
        while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
        if (last == first + 1) last = first;  // two are better named than spanned
        text += fmt::format("{}{}", first == 0 ? "" : ", ", ranks[first]);
        if (last > first) text += fmt::format("-{}", ranks[last]);
        first = last + 1;
    }
    return text;
}

// "ranks 0, 2 in broadcast (number 88, 8 bytes), rank 1 in barrier (number 87)"
std::string waiting_text(std::span<const RankNews> all, bool with_bytes) {
    std::vector<std::pair<std::string, std::vector<std::size_t>>> calls;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (!waits(all[rank])) continue;
        std::string call = call_of(all[rank].report, with_bytes);
        auto known = std::ranges::find(calls, call, [](const auto& each) { return each.first; });
        if (known == calls.end()) known = calls.insert(known, {std::move(call), {}});
        known->second.push_back(rank);
    }
    std::string text;
    for (const auto& [call, ranks] : calls)
        text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", ranks_text(ranks), call);
    return text;
}

bool same_group(const RankNews& a, const RankNews& b) {
    return waits(a) && waits(b) && a.report.group == b.report.group;
}

bool same_call(const HeartbeatReport& a, const HeartbeatReport& b) {
    return a.collective == b.collective && a.bytes == b.bytes;
}

// Whether each said again where it is, after the other had come to where it is.
bool both_confirmed(const RankNews& a, const RankNews& b) {
    return std::min(a.heard, b.heard) > std::max(a.since, b.since);
}

// Two ranks of a group that cannot meet, found by comparing each with the first of its group.
template <class Differ>
bool any_pair(std::span<const RankNews> all, Differ differ) {
    return std::ranges::any_of(all, [&](const RankNews& news) {
        const auto first = std::ranges::find_if(all, [&](const RankNews& other) {  // maybe itself
            return same_group(news, other);
        });
        return first != all.end() && differ(*first, news);
    });
}

std::optional<std::string> hang(std::span<const RankNews> all, double now, double limit) {
    if (std::ranges::none_of(all, waits)) return std::nullopt;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        const RankNews& news = all[rank];
        if (news.link != RankNews::Link::Up || waits(news) || news.report.open_ended != 0 ||
            idle(news, now) <= limit)
            continue;
        return fmt::format("{} hangs: {}, for {:.0f} s; {}", name_of(news, rank, all.size()),
                           place_of(news.report), idle(news, now), waiting_text(all, false));
    }
    return std::nullopt;
}

std::optional<std::string> standstill(std::span<const RankNews> all, double now, double limit) {
    const auto stands_for = [&](double seconds) {
        return
            [&all, now, seconds](const RankNews& news) { return waits(news) && idle(news, now) > seconds; };
    };
    const auto settled = stands_for(std::min(kSettled, limit));
    const bool never_meet = any_pair(all, [&](const RankNews& a, const RankNews& b) {
        return a.report.number == b.report.number && !same_call(a.report, b.report) && settled(a) &&
               settled(b) && both_confirmed(a, b);
    });
    if (never_meet) return "the ranks disagree: " + waiting_text(all, true);

    std::vector<std::size_t> left;
    for (std::size_t rank = 0; rank < all.size(); ++rank)
        if (all[rank].link == RankNews::Link::Left) left.push_back(rank);
    const auto still = stands_for(limit);
    const bool all_stand = std::ranges::all_of(all, [&](const RankNews& news) {
        return news.link == RankNews::Link::Left ? now - news.heard > limit : still(news);
    });
    if (!all_stand || left.size() == all.size()) return std::nullopt;

    if (!left.empty())
        return fmt::format("{} ended, but others wait: {}", ranks_text(left), waiting_text(all, true));
    const bool disagree = any_pair(all, [](const RankNews& a, const RankNews& b) {
        return a.report.number != b.report.number || !same_call(a.report, b.report);
    });
    if (disagree) return "the ranks disagree: " + waiting_text(all, true);
    return fmt::format("nothing came through between the ranks for {:.0f} s, the network hangs: {}", limit,
                       waiting_text(all, true));
}

}  // namespace

HeartbeatReport report_of(const RankState& state) {
    HeartbeatReport report;
    report.activity = short_text<48>(state.activity);
    report.collective = short_text<24>(state.collective);
    report.step = state.step;
    report.number = state.number;
    report.bytes = state.bytes;
    report.idle = state.idle;
    report.group = state.group;
    report.open_ended = state.open_ended ? 1 : 0;
    return report;
}

void take_report(RankNews& news, const HeartbeatReport& report, double now) {
    const bool same = same_call(news.report, report) && news.report.number == report.number &&
                      news.report.group == report.group;
    if (!same) news.since = now;
    news.report = report;
    news.heard = now;
}

std::optional<std::string> loss_of(const RankNews& news, int rank, int size, double now, double limit) {
    const double silence = now - news.heard;
    const auto named = [&](const std::string& what) {
        return fmt::format("{} {}: {}",
                           name_of(news, static_cast<std::size_t>(rank), static_cast<std::size_t>(size)),
                           what, place_of(news.report));
    };
    if (news.link == RankNews::Link::Lost)
        return named(fmt::format("died; last heard of {:.1f} s before", silence));
    if (news.link == RankNews::Link::Up && silence > limit) {
        return named(
            fmt::format("is silent since {:.0f} s (stopped, or its machine or network is lost)", silence));
    }
    return std::nullopt;
}

std::optional<std::string> verdict(std::span<const RankNews> all, double now, double limit) {
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        auto loss = loss_of(all[rank], static_cast<int>(rank), static_cast<int>(all.size()), now, limit);
        if (loss) return loss;
    }
    if (auto found = hang(all, now, limit)) return found;
    return standstill(all, now, limit);
}

}  // namespace sluice
