#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/vocab_loops.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

constexpr float kLeast = -std::numeric_limits<float>::infinity();

// NaN comes last.
bool better(const VocabCandidate& a, const VocabCandidate& b) {
    const float x = std::isnan(a.logit) ? kLeast : a.logit, y = std::isnan(b.logit) ? kLeast : b.logit;
    return x > y || (x == y && a.id < b.id);
}

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
        list_best(row.candidates, args_.candidates + at * static_cast<std::size_t>(args_.max_candidates));
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
            logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
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

    // A heap with the worst of the best at its front. Ids ascend, so a later equal never displaces it, and a
    // chunk whose greatest is not greater is passed over.
    void list_best(int wanted, VocabCandidate* out) const {
        const std::int64_t most = std::min<std::int64_t>({wanted, args_.max_candidates, count_});
        std::int64_t held = 0;
        for (std::int64_t begin = 0; begin < count_ && most > 0; begin += kVocabChunk) {
            const float chunk_max = maxima_[static_cast<std::size_t>(begin / kVocabChunk)];
            if (held == most && !(chunk_max > floor_of(out))) continue;
            const std::int64_t end = std::min(begin + kVocabChunk, count_);
            for (std::int64_t i = begin; i < end; ++i) {
                if (held == most && !(logits_[i] > floor_of(out))) continue;
                if (held == most) std::pop_heap(out, out + held--, better);
                out[held++] = {static_cast<std::int32_t>(first_id_ + i), logits_[i], raw_[i]};
                std::push_heap(out, out + held, better);
            }
        }
        std::sort_heap(out, out + held, better);
        std::fill(out + held, out + args_.max_candidates, VocabCandidate{-1, 0, 0});
    }

    static float floor_of(const VocabCandidate* heap) {
        return std::isnan(heap->logit) ? kLeast : heap->logit;
    }

    const VocabLoops& loops_;
    const VocabArgs& args_;
    std::int32_t first_id_ = 0;
    std::int64_t count_ = 0;
    const float* raw_ = nullptr;
    const float* logits_ = nullptr;  // penalised
    std::vector<float> copy_, maxima_;
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
