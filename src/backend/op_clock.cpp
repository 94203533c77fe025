#include "backend/op_clock.hpp"

#include <chrono>

namespace sluice {
namespace {

class HostTimer final : public OpTimer {
public:
    explicit HostTimer(OpClock& clock) : clock_(clock) {}
    void begin(std::string_view op) override {
        op_ = op;
        start_ = Clock::now();
    }
    void end() override { clock_.add(op_, std::chrono::duration<double>(Clock::now() - start_).count()); }
    void settle() override {}

private:
    using Clock = std::chrono::steady_clock;

    OpClock& clock_;
    std::string_view op_;
    Clock::time_point start_;
};

}  // namespace

void OpClock::add(std::string_view op, double seconds) {
    Total& total = totals_[op];
    total.seconds += seconds;
    ++total.calls;
}

std::unique_ptr<OpTimer> make_host_timer(OpClock& clock) { return std::make_unique<HostTimer>(clock); }

}  // namespace sluice
