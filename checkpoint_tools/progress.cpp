#include "checkpoint_tools/progress.hpp"

#include "core/log.hpp"
#include "core/units.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{10};

double as_seconds(std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) != 0), start_(Clock::now()), last_(start_) {}

double ProgressLine::seconds() const { return as_seconds(Clock::now() - start_); }

void ProgressLine::update(std::uint64_t done, std::uint64_t total) {
    const auto now = Clock::now();
    if (now - last_ < (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kPlainLine))) return;
    last_ = now;
    const double rate = static_cast<double>(done) / as_seconds(now - start_);
    const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
    const std::string line = fmt::format("{}: {} of {}, {:.2f} GB/s, {:.0f} s left", what_, bytes_text(done),
                                         bytes_text(total), rate / 1e9, left);
    if (terminal_) {
        fmt::print(stderr, "\r{}\033[K", line);
    } else {
        fmt::print(stderr, "{}\n", line);
    }
    std::fflush(stderr);
    set_live_line(terminal_);
    drawn_ = true;
}

void ProgressLine::clear() {
    if (terminal_ && drawn_) fmt::print(stderr, "\r\033[K");
    set_live_line(false);
    drawn_ = false;
}

}  // namespace sluice
