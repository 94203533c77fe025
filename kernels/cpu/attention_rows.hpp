// What every attention kernel knows of its task's (row, head) pairs: where they stand, what they see, and
// their softmax. Pairs are counted from the task's first.
#pragma once

#include "kernels/cpu/attention_task.hpp"
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/simd.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
class AttentionRows {
protected:
    using F32 = typename Isa::F32;
    static constexpr int kLanes = Isa::kLanes;
    static constexpr int kParts = kPageTokens / kLanes;
    static_assert(kParts == 4);

    explicit AttentionRows(const AttentionTask& task)
        : task_(task),
          args_(*task.args),
          sequence_(*task.sequence),
          pairs_(task.end - task.begin),
          columns_(task.at->panels * kPanelColumns),
          sums_(task.scratch + task.at->sums),
          scores_(task.scratch + task.at->scores),
          max_(task.scratch + task.at->max),
          total_(task.scratch + task.at->total),
          factor_(task.scratch + task.at->factor),
          next_masked_(task.masked) {
        for (std::int64_t i = 0; i < pairs_ * columns_; ++i) sums_[i] = 0;
        for (std::int64_t i = 0; i < pairs_; ++i) max_[i] = -__builtin_inff();
        for (std::int64_t i = 0; i < pairs_; ++i) total_[i] = 0;
    }

    std::int64_t first_position() const { return sequence_.context - sequence_.rows; }
    std::int64_t row(std::int64_t pair) const { return (task_.begin + pair) / task_.heads; }
    std::int64_t position(std::int64_t pair) const { return first_position() + row(pair); }
    std::int64_t last_position() const { return position(pairs_ - 1); }
    std::int64_t head_row(std::int64_t pair) const {  // of q and out
        const std::int64_t head = task_.first_head + (task_.begin + pair) % task_.heads;
        return (sequence_.first_row + row(pair)) * args_.heads + head;
    }
    // Positions of the block up to `position`.
    int count_at(std::int64_t position) const {
        const std::int64_t count = position + 1 - start_;
        return static_cast<int>(count < kPageTokens ? count : kPageTokens);
    }
    // The first pair that sees the block: those before it end earlier.
    std::int64_t first_pair() const {
        const std::int64_t first = (start_ - first_position()) * task_.heads - task_.begin;
        return first > 0 ? first : 0;
    }
    // Elements from the pages' beginning to the block's.
    std::int64_t page() const { return sequence_.pages[start_ / kPageTokens] * args_.page_stride; }

    // Marks the block's masked keys. Blocks are taken in order.
    void mark_masked() {
        const std::int64_t end = start_ + kPageTokens;
        block_masked_ = next_masked_ != task_.masked_end && *next_masked_ < end;
        if (!block_masked_) return;
        for (float& key : masked_) key = 0;
        for (; next_masked_ != task_.masked_end && *next_masked_ < end; ++next_masked_) {
            masked_[*next_masked_ - start_] = 1;
        }
    }

    // Calls body.run<P>(pair) for tiles of P <= kMost pairs, as even as they can be.
    template <int kMost, class Body>
    [[gnu::always_inline]] static inline void tiles(std::int64_t first, std::int64_t end, const Body& body) {
        const std::int64_t pairs = end - first, count = (pairs + kMost - 1) / kMost;
        for (std::int64_t t = 0; t < count; ++t) {
            const std::int64_t begin = first + pairs * t / count;
            switch (first + pairs * (t + 1) / count - begin) {
                case 1: body.template run<1>(begin); break;
                case 2: body.template run<2>(begin); break;
                case 3: body.template run<3>(begin); break;
                default: larger<kMost>(first + pairs * (t + 1) / count - begin, begin, body);
            }
        }
    }

    // The exponentials of a pair's scores relative to its greatest so far; 0 for keys that it does not see.
    void exponentials(std::int64_t pair, F32 (&score)[kParts]) {
        const float* scores = scores_ + pair * kPageTokens;
        const int count = count_at(position(pair));
        for (int i = 0; i < kParts; ++i) {
            F32 s = Isa::mul(Isa::load(scores + i * kLanes), Isa::set(args_.scale));
            if (args_.softcap > 0) {
                const F32 cap = Isa::set(args_.softcap);
                s = Isa::mul(cap, Math<Isa>::tanh(Isa::div(s, cap)));
            }
            if (block_masked_) {
                s = Isa::select_less(Isa::zero(), Isa::load(masked_ + i * kLanes), Isa::set(kMaskedScore), s);
            }
            score[i] = s;
        }
        if (count < kPageTokens) {
            const F32 end = Isa::set(static_cast<float>(count)), least = Isa::set(-__builtin_inff());
            for (int i = 0; i < kParts; ++i)
                score[i] = Isa::select_less(places(i * kLanes), end, score[i], least);
        }
        const F32 most = Isa::max(Isa::max(score[0], score[1]), Isa::max(score[2], score[3]));
        const float before = max_[pair], here = Isa::max_lane(most);
        const float max = here > before ? here : before;
        for (F32& s : score) s = Math<Isa>::exp(Isa::sub(s, Isa::set(max)));
        float factor[kLanes] = {1};  // as exp(0) is
        if (max != before) Isa::store(factor, Math<Isa>::exp(Isa::set(before - max)));
        max_[pair] = max;
        factor_[pair] = factor[0];
    }

    // Adds the block's sum of weights.
    void add_total(std::int64_t pair, float sum) { total_[pair] = total_[pair] * factor_[pair] + sum; }

    void finish() const {
        for (std::int64_t i = 0; i < pairs_; ++i) finish(i);
    }

    const AttentionTask& task_;
    const AttentionArgs& args_;
    const SequenceRows& sequence_;
    const std::int64_t pairs_;
    const std::int64_t columns_;  // of sums_
    float *const sums_, *const scores_, *const max_, *const total_, *const factor_;
    std::int64_t start_ = 0;  // the block's first position

private:
    template <int kMost, class Body>
    [[gnu::always_inline]] static inline void larger(std::int64_t size, std::int64_t begin,
                                                     const Body& body) {
        if constexpr (kMost > 3) {
            if (size == 4)
                body.template run<4>(begin);
            else if (size == 5)
                body.template run<5>(begin);
            else
                body.template run<6>(begin);
        }
    }

    SLUICE_SIMD F32 places(int first) {
        alignas(64) static constexpr float kPlaces[kLanes] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                              8, 9, 10, 11, 12, 13, 14, 15};
        return Isa::add(Isa::load(kPlaces), Isa::set(static_cast<float>(first)));
    }

    void finish(std::int64_t pair) const {
        float* out = args_.out + head_row(pair) * args_.value_dim;
        const float* sums = sums_ + pair * columns_;
        const F32 total = Isa::set(total_[pair]);
        std::int64_t c = 0;
        for (; c + kLanes <= args_.value_dim; c += kLanes) {
            Isa::store(out + c, Isa::div(Isa::load(sums + c), total));
        }
        if (c < args_.value_dim) {
            Isa::store_some(out + c, Isa::div(Isa::load(sums + c), total),
                            static_cast<int>(args_.value_dim - c));
        }
    }

    const std::int32_t* next_masked_;  // the first masked position from start_ on
    bool block_masked_ = false;        // the block has masked keys,
    float masked_[kPageTokens];        // and these are they: 1, others 0
};

}  // namespace sluice::kernels::cpu
