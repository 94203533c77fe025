// How far a long copy is, on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice {

// A line that is redrawn on a terminal; otherwise a plain line every 10 seconds.
class ProgressLine {
public:
    explicit ProgressLine(std::string what);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { clear(); }
    void update(std::uint64_t done, std::uint64_t total);
    void clear();  // before anything else is printed on standard output or to the log

    double seconds() const;  // since the start

private:
    using Clock = std::chrono::steady_clock;

    std::string what_;
    bool terminal_ = false;
    bool drawn_ = false;
    Clock::time_point start_, last_;
};

}  // namespace sluice
