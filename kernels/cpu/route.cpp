#include "kernels/cpu/math.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

// The portable lanes on every machine, and no exponential of the C library, whose last bit depends on the
// processor: a route must not.
using Portable = Generic;

constexpr float kNever = -std::numeric_limits<float>::infinity();

// One thread's work on rows of one router.
class Router {
public:
    explicit Router(const RouteArgs& args)
        : args_(args),
          spec_(args.spec),
          group_size_(spec_.experts / spec_.groups),
          scores_(static_cast<std::size_t>(spec_.experts)),
          keys_(scores_.size()),
          group_keys_(static_cast<std::size_t>(spec_.groups)),
          taken_(scores_.size()),
          open_(group_keys_.size()) {}

    void route(std::int64_t row) {
        score(args_.logits + row * spec_.experts);
        open_groups();
        std::int32_t* expert = args_.expert + row * spec_.top_k;
        std::fill(taken_.begin(), taken_.end(), char{0});
        for (int k = 0; k < spec_.top_k; ++k) expert[k] = take_best();
        std::sort(expert, expert + spec_.top_k);
        weigh(expert, args_.weight + row * spec_.top_k);
    }

private:
    void score(const float* logits) {
        const std::size_t n = scores_.size();
        if (spec_.score == RouterSpec::Score::Sigmoid) {
            each_lanes(logits, [](Portable::F32 x) { return Math<Portable>::sigmoid(x); });
        } else {
            const Portable::F32 best = Portable::set(*std::max_element(logits, logits + n));
            each_lanes(logits, [&](Portable::F32 x) { return Math<Portable>::exp(Portable::sub(x, best)); });
            double sum = 0;
            for (const float score : scores_) sum += score;
            for (float& score : scores_) score = static_cast<float>(score / sum);
        }
        for (std::size_t e = 0; e < n; ++e) {
            const float key = args_.bias == nullptr ? scores_[e] : scores_[e] + args_.bias[e];
            keys_[e] = std::isnan(key) ? kNever : key;
        }
    }

    template <class Function>
    void each_lanes(const float* logits, Function function) {
        for (int e = 0; e < spec_.experts; e += Portable::kLanes) {
            const int count = std::min(Portable::kLanes, spec_.experts - e);
            const Portable::F32 x = Portable::load_some(logits + e, count);
            Portable::store_some(scores_.data() + e, function(x), count);
        }
    }

    void open_groups() {
        if (spec_.top_groups == spec_.groups) {
            std::fill(open_.begin(), open_.end(), char{1});
            return;
        }
        for (std::size_t g = 0; g < group_keys_.size(); ++g) {
            const float* keys = keys_.data() + g * static_cast<std::size_t>(group_size_);
            float best = kNever, second = kNever;
            for (int e = 0; e < group_size_; ++e) {
                second = std::max(second, std::min(best, keys[e]));
                best = std::max(best, keys[e]);
            }
            group_keys_[g] = args_.bias != nullptr && group_size_ > 1 ? best + second : best;
        }
        std::fill(open_.begin(), open_.end(), char{0});
        for (int i = 0; i < spec_.top_groups; ++i) {
            std::size_t best = open_.size();
            for (std::size_t g = 0; g < open_.size(); ++g) {
                const bool better = best == open_.size() || group_keys_[g] > group_keys_[best];
                if (open_[g] == 0 && better) best = g;
            }
            open_[best] = 1;
        }
    }

    // Strictly greater wins, so a tie stays with the lower index; an expert comes out whatever the keys are.
    std::int32_t take_best() {
        int best = -1;
        for (std::size_t g = 0; g < open_.size(); ++g) {
            if (open_[g] == 0) continue;
            const int begin = static_cast<int>(g) * group_size_;
            for (int e = begin; e < begin + group_size_; ++e) {
                if (taken_[at(e)] != 0) continue;
                if (best < 0 || keys_[at(e)] > keys_[at(best)]) best = e;
            }
        }
        taken_[at(best)] = 1;
        return best;
    }

    void weigh(const std::int32_t* expert, float* weight) const {
        float sum = 0;
        for (int k = 0; k < spec_.top_k; ++k) sum += scores_[at(expert[k])];
        // As the published models divide: never by zero.
        const float divisor = spec_.renormalize ? sum + 1e-20F : 1.0F;
        for (int k = 0; k < spec_.top_k; ++k) weight[k] = scores_[at(expert[k])] / divisor * spec_.scale;
    }

    static std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

    const RouteArgs& args_;
    const RouterSpec& spec_;
    int group_size_;
    std::vector<float> scores_, keys_, group_keys_;
    std::vector<char> taken_, open_;
};

}  // namespace

void run_route(const RouteArgs& args, const Execution& execution) {
    constexpr std::int64_t kWorkPerScore = 16;  // an exponential and top_k comparisons
    over_rows(args.rows, args.spec.experts * kWorkPerScore, execution.threads,
              [&](std::int64_t begin, std::int64_t end) {
                  Router router(args);
                  for (std::int64_t r = begin; r < end; ++r) router.route(r);
              });
}

}  // namespace sluice::kernels::cpu
