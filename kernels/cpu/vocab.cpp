#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/vocab_loops.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

constexpr float kLeast = -std::numeric_limits<float>::infinity();

// The order as an object: the compiler inlines it into the sorts, which it does not with a function.
constexpr auto kBetter = [](const VocabCandidate& a, const VocabCandidate& b) { return better(a, b); };

// One thread's work on slices of rows.
class SliceReader {
public:
    SliceReader(const VocabLoops& loops, const VocabArgs& args) : loops_(loops), args_(args) {}

    void read(std::size_t r, std::size_t slice) {
        const VocabRow& row = args_.rows[r];
        first_id_ = args_.first_id[slice];
        count_ = args_.first_id[slice + 1] - first_id_;
        raw_ = args_.logits + row.row * args_.stride + (first_id_ - args_.first_id[0]);
        logits_ = raw_;
        const auto chunks = static_cast<std::size_t>((count_ + kVocabChunk - 1) / kVocabChunk);
        maxima_.resize(chunks);
        sums_.resize(chunks);

        const std::size_t at = r * (args_.first_id.size() - 1) + slice;
        VocabSummary& summary = args_.summaries[at] = {};
        bool finite = loops_.maxima(raw_, count_, maxima_.data());
        summary.plain_max = summary.max = greatest();
        if (row.target >= first_id_ && row.target < first_id_ + count_)
            summary.target_logit = raw_[row.target - first_id_];
        if (args_.max_top > 0)
            list_best(row.top, args_.max_top, args_.top + at * static_cast<std::size_t>(args_.max_top));
        const bool penalised = row.repetition_penalty != 1 && penalise(row);
        if (penalised) {
            finite = loops_.maxima(logits_, count_, maxima_.data()) && finite;
            summary.max = greatest();
        }
        summary.finite = finite ? 1 : 0;
        summary.drawn = -1;
        summary.drawn_logit = kLeast;
        if (finite) {
            summary.plain_sum = sum(raw_, summary.plain_max, 1);
            const float rate = std::min(1 / row.temperature, std::numeric_limits<float>::max());
            const bool plain = !penalised && row.temperature == 1;
            summary.sum = plain ? summary.plain_sum : sum(logits_, summary.max, rate);
            const int global = args_.first_slice + static_cast<int>(slice);
            draw(uniform(row.draw_key, 1 + static_cast<std::uint64_t>(global)), rate, summary);
        }
        list_best(row.candidates, args_.max_candidates,
                  args_.candidates + at * static_cast<std::size_t>(args_.max_candidates));
    }

private:
    float greatest() const {
        return maxima_.empty() ? kLeast : *std::max_element(maxima_.begin(), maxima_.end());
    }

    // Whether the row has seen a token of this slice; then logits_ is a copy with the penalty.
    bool penalise(const VocabRow& row) {
        const auto begin = std::lower_bound(row.seen.begin(), row.seen.end(), first_id_);
        const auto end = std::lower_bound(begin, row.seen.end(), first_id_ + count_);
        if (begin == end) return false;
        copy_.assign(raw_, raw_ + count_);
        for (auto id = begin; id != end; ++id) {
            float& logit = copy_[static_cast<std::size_t>(*id - first_id_)];
            logit = penalized(logit, row.repetition_penalty);
        }
        logits_ = copy_.data();
        return true;
    }

    // Leaves the chunks' sums in sums_. Nothing weighs anything where all logits are -infinity.
    double sum(const float* logits, float max, float rate) {
        if (max == kLeast)
            std::fill(sums_.begin(), sums_.end(), 0.0);
        else
            loops_.masses(logits, count_, max, rate, sums_.data());
        double total = 0;
        for (const double chunk : sums_) total += chunk;
        return total;
    }

    // The inverse of the cumulated masses: by chunks, then within one. Rounding may leave the target beyond
    // the last mass passed; then the last token that weighs anything is meant.
    void draw(double u, float rate, VocabSummary& summary) const {
        if (summary.sum <= 0) return;
        const double target = u * summary.sum;
        double passed = 0, before = 0;
        std::int64_t chunk = 0;
        for (std::size_t c = 0; c < sums_.size() && passed <= target; ++c) {
            if (sums_[c] <= 0) continue;
            chunk = static_cast<std::int64_t>(c);
            before = passed;
            passed += sums_[c];
        }
        const std::int64_t begin = chunk * kVocabChunk;
        const std::int64_t count = std::min<std::int64_t>(kVocabChunk, count_ - begin);
        float masses[kVocabChunk];
        loops_.exponentials(logits_ + begin, count, summary.max, rate, masses);
        passed = before;
        for (std::int64_t i = 0; i < count && passed <= target; ++i) {
            if (masses[i] <= 0) continue;
            passed += masses[i];
            summary.drawn = static_cast<std::int32_t>(first_id_ + begin + i);
            summary.drawn_logit = raw_[begin + i];
        }
    }

    // The best of logits_, whose chunks' maxima are in maxima_. Collects all that may be among them and cuts
    // what it holds back to those now and then. `most` chunks have a logit as good as the most-th greatest of
    // the chunks' maxima, so what is worse is passed over.
    void list_best(int wanted, int room, VocabCandidate* out) {
        const std::int64_t most = std::min<std::int64_t>({wanted, room, count_});
        std::fill(out + most, out + room, VocabCandidate{-1, 0, 0});
        if (most <= 0) return;
        float floor = kLeast;
        const auto chunks = static_cast<std::int64_t>(maxima_.size());
        if (most <= chunks) {
            sorted_maxima_ = maxima_;
            const auto nth = sorted_maxima_.begin() + most - 1;
            std::nth_element(sorted_maxima_.begin(), nth, sorted_maxima_.end(), std::greater<>());
            floor = *nth;
        }
        held_.clear();
        for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
            if (maxima_[static_cast<std::size_t>(chunk)] < floor) continue;
            const std::int64_t begin = chunk * kVocabChunk;
            collect(begin, std::min(begin + kVocabChunk, count_), floor);
            if (static_cast<std::int64_t>(held_.size()) >= most + 2 * kVocabChunk) floor = cut_to(most);
        }
        cut_to(most);
        std::sort(held_.begin(), held_.end(), kBetter);
        std::copy_n(held_.begin(), most, out);
    }

    // Holds every logit of one chunk that is not below the floor (a NaN never is).
    void collect(std::int64_t begin, std::int64_t end, float floor) {
        std::int32_t at[kVocabChunk];
        const int found = loops_.not_below(logits_ + begin, end - begin, floor, at);
        for (int i = 0; i < found; ++i) {
            const std::int64_t j = begin + at[i];
            held_.push_back({static_cast<std::int32_t>(first_id_ + j), logits_[j], raw_[j]});
        }
    }

    // Keeps the best; returns the least of them.
    float cut_to(std::int64_t most) {
        std::nth_element(held_.begin(), held_.begin() + most - 1, held_.end(), kBetter);
        held_.resize(static_cast<std::size_t>(most));
        return std::isnan(held_.back().logit) ? kLeast : held_.back().logit;
    }

    const VocabLoops& loops_;
    const VocabArgs& args_;
    std::int32_t first_id_ = 0;
    std::int64_t count_ = 0;
    const float* raw_ = nullptr;
    const float* logits_ = nullptr;  // penalised
    std::vector<float> copy_, maxima_, sorted_maxima_;
    std::vector<VocabCandidate> held_;
    std::vector<double> sums_;
};

}  // namespace

void vocab_with(const VocabLoops& loops, const VocabArgs& args, const Execution& execution) {
    const auto rows = static_cast<std::int64_t>(args.rows.size());
    const auto slices = static_cast<std::int64_t>(args.first_id.size()) - 1;
    const std::int64_t width = slices > 0 ? (args.first_id.back() - args.first_id.front()) / slices : 0;
    over_rows(rows * slices, width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        SliceReader reader(loops, args);
        for (std::int64_t i = begin; i < end; ++i) {
            reader.read(static_cast<std::size_t>(i / slices), static_cast<std::size_t>(i % slices));
        }
    });
}

}  // namespace sluice::kernels::cpu
