// How long a rank's operations take, by name: for benchmarks.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string_view>

namespace sluice {

// One thread's own, as the operations are.
class OpClock {
public:
    struct Total {
        double seconds = 0;
        std::int64_t calls = 0;
    };

    // `op` is a string literal.
    void add(std::string_view op, double seconds);
    void clear() { totals_.clear(); }
    // Since the clock was made or cleared.
    const std::map<std::string_view, Total>& totals() const { return totals_; }

private:
    std::map<std::string_view, Total> totals_;
};

// Adds the time until it is destroyed to `clock`, or nothing where that is null.
class OpTimer {
public:
    OpTimer(OpClock* clock, std::string_view op) : clock_(clock), op_(op) {
        if (clock_ != nullptr) start_ = Clock::now();
    }
    OpTimer(const OpTimer&) = delete;
    OpTimer& operator=(const OpTimer&) = delete;
    ~OpTimer() {
        if (clock_ != nullptr) clock_->add(op_, std::chrono::duration<double>(Clock::now() - start_).count());
    }

private:
    using Clock = std::chrono::steady_clock;

    OpClock* clock_;
    std::string_view op_;
    Clock::time_point start_;
};

}  // namespace sluice
