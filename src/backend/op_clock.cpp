#include "backend/op_clock.hpp"

namespace sluice {

void OpClock::add(std::string_view op, double seconds) {
    Total& total = totals_[op];
    total.seconds += seconds;
    ++total.calls;
}

}  // namespace sluice
