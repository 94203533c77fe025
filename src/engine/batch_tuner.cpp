#include "engine/batch_tuner.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr int kFirst = 256;  // where it begins
constexpr int kLeast = 32;
constexpr double kGain = 0.04;           // of twice as many rows
constexpr double kFull = 0.85;           // of a size: fewer rows say little about it
constexpr std::size_t kEnough = 9;       // steps of a size to know what it costs
constexpr std::size_t kLatest = 32;      // that are remembered
constexpr std::int64_t kLongAgo = 1000;  // steps after which a size is tried again
constexpr double kFading = 0.98;         // of what was lately run, by a step

double median(std::vector<double> values) {
    const auto middle = values.begin() + std::ssize(values) / 2;
    std::ranges::nth_element(values, middle);
    return *middle;
}

}  // namespace

bool BatchTuner::Size::known() const { return latest.size() >= kEnough; }

// The median of the slopes between steps of one size.
double BatchTuner::seconds_a_token_of_context(const std::vector<Size>& sizes) {
    std::vector<double> slopes;
    for (const Size& size : sizes) {
        const std::size_t half = size.latest.size() / 2;
        for (std::size_t i = 0; i < half; ++i) {
            const Sample& a = size.latest[i];
            const Sample& b = size.latest[i + half];
            if (a.contexts != b.contexts)
                slopes.push_back((b.seconds - a.seconds) / (b.contexts - a.contexts));
        }
    }
    return slopes.empty() ? 0 : std::max(median(std::move(slopes)), 0.0);
}

double BatchTuner::seconds_a_row(const Size& size, double slope) {
    std::vector<double> seconds;
    for (const Sample& sample : size.latest) seconds.push_back(sample.seconds - slope * sample.contexts);
    return median(std::move(seconds));
}

BatchTuner::BatchTuner(int most) : rows_(std::min(kFirst, most)) {
    expect(most >= 1, "steps of at most {} rows", most);
    for (Kind& kind : kinds_) {
        for (int rows = kLeast; rows < most; rows *= 2) kind.sizes.push_back({rows});
        kind.sizes.push_back({most});
    }
}

// A step counts for the size that it nearly fills.
void BatchTuner::ran(const StepCost& step) {
    ++steps_;
    for (Kind& kind : kinds_) kind.rows *= kFading;
    Kind& kind = kinds_[2 * step.logit_rows > step.rows ? 1 : 0];
    kind.rows += step.rows;
    const auto size = std::ranges::find_if(kind.sizes, [&](const Size& each) {
        return step.rows <= each.rows && step.rows > kFull * each.rows;
    });
    if (size == kind.sizes.end()) return;
    const Sample sample{step.seconds / step.rows, static_cast<double>(step.contexts) / step.rows};
    if (size->latest.size() < kLatest)
        size->latest.push_back(sample);
    else
        size->latest[size->next] = sample;
    size->next = (size->next + 1) % kLatest;
    size->last = steps_;
    for (Size& each : kind.sizes)
        if (each.rows > rows_ && steps_ - each.last > kLongAgo) each = {each.rows};
    rows_ = choose((kinds_[1].rows > kinds_[0].rows ? kinds_[1] : kinds_[0]).sizes);
}

int BatchTuner::choose(const std::vector<Size>& sizes) const {
    const double slope = seconds_a_token_of_context(sizes);
    const Size* chosen = nullptr;
    const Size* largest = nullptr;
    double cost = 0;
    for (const Size& size : sizes) {
        if (!size.known()) continue;
        largest = &size;
        const double own = seconds_a_row(size, slope);
        if (chosen != nullptr && own > (1 - kGain) * cost) continue;
        chosen = &size;
        cost = own;
    }
    if (chosen == nullptr) return rows_;
    const bool may_grow = chosen == largest && chosen != &sizes.back();
    return may_grow ? (chosen + 1)->rows : chosen->rows;  // the next one is tried
}

}  // namespace sluice
