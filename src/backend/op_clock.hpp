// How long a rank's operations take, by name: for benchmarks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
    // Since the clock was made or cleared; of operations that have ended when it was last synchronised.
    const std::map<std::string_view, Total>& totals() const { return totals_; }

private:
    std::map<std::string_view, Total> totals_;
};

// Takes the time of each operation where it runs.
class OpTimer {
public:
    OpTimer() = default;
    OpTimer(const OpTimer&) = delete;
    OpTimer& operator=(const OpTimer&) = delete;
    virtual ~OpTimer() = default;

    // Around one operation; `op` is a string literal.
    virtual void begin(std::string_view op) = 0;
    virtual void end() = 0;
    // Tells the clock what it has not been told yet. Nothing may be queued any more.
    virtual void settle() = 0;
};

// Of operations that are done when they return. `clock` must outlive it.
std::unique_ptr<OpTimer> make_host_timer(OpClock& clock);

}  // namespace sluice
