#include "jobs/bench_figures.hpp"

#include "core/error.hpp"
#include "model/rank_sums.hpp"

#include <algorithm>
#include <numeric>

namespace sluice {

double Samples::median() const {
    expect(!values.empty(), "the median of nothing");
    std::vector<double> sorted = values;
    std::ranges::sort(sorted);
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Samples::least() const { return std::ranges::min(values); }

double Samples::most() const { return std::ranges::max(values); }

Breakdown breakdown_of(const OpClock& clock, double seconds, double communicating, std::int64_t runs) {
    const auto repeats = static_cast<double>(runs);
    Breakdown parts;
    parts.communication = communicating / repeats;
    parts.rest = (seconds - communicating) / repeats;
    for (const auto& [op, total] : clock.totals()) {
        const OpClock::Total mean{total.seconds / repeats, total.calls / runs};
        parts.rest -= mean.seconds;
        if (op == kLinksName)
            parts.communication += mean.seconds;
        else
            parts.operations.emplace(op, mean);
    }
    return parts;
}

double Figure::rate() const { return static_cast<double>(tokens) / seconds.median(); }

const char* Figure::bound() const {
    const double all = std::reduce(floor.values.begin(), floor.values.end());
    return 2 * reading >= all ? "memory" : "compute";
}

Samples Figure::percent() const {
    Samples shares;
    for (std::size_t i = 0; i < seconds.values.size(); ++i)
        shares.values.push_back(100 * floor.values[i] / seconds.values[i]);
    return shares;
}

}  // namespace sluice
