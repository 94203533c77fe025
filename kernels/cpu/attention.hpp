// One attention task. For every (row, head) pair, whatever shares the task: blocks of 64 positions from 0 up;
// a score is one chain of multiply-adds over key_dim; the values are added position after position.
#pragma once

#include "kernels/cpu/attention_load.hpp"
#include "kernels/cpu/attention_task.hpp"
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"

namespace sluice::kernels::cpu {

// The register tile: kPairs pairs by kVectors vectors of positions or columns.
template <class Isa>
struct AttentionTile {
    static constexpr int kPairs = 3, kVectors = 1;
};
template <>
struct AttentionTile<Avx2> {
    static constexpr int kPairs = 3, kVectors = 2;
};
template <>
struct AttentionTile<Avx512> {
    static constexpr int kPairs = 6, kVectors = 4;
};

template <class Isa>
class Attend {
public:
    explicit Attend(const AttentionTask& task)
        : task_(task),
          args_(*task.args),
          sequence_(*task.sequence),
          at_(task.at),
          keys_(task.scratch),
          values_(task.scratch + at_.values),
          sums_(task.scratch + at_.sums),
          scores_(task.scratch + at_.scores),
          max_(task.scratch + at_.max),
          total_(task.scratch + at_.total),
          factor_(task.scratch + at_.factor),
          columns_(at_.panels * kPanelColumns),
          next_masked_(task.masked) {}

    template <class Element>
    void run() {
        const std::int64_t pairs = task_.end - task_.begin;
        for (std::int64_t i = 0; i < pairs * columns_; ++i) sums_[i] = 0;
        for (std::int64_t i = 0; i < pairs; ++i) max_[i] = -__builtin_inff();
        for (std::int64_t i = 0; i < pairs; ++i) total_[i] = 0;
        const std::int64_t last = position(pairs - 1);
        for (start_ = 0; start_ <= last; start_ += kPageTokens) {
            load_block<Element>(count_at(last));
            mark_masked();
            std::int64_t first = (start_ - first_position()) * task_.heads - task_.begin;
            if (first < 0) first = 0;  // pairs before `first` end before this block
            score(first, pairs);
            for (std::int64_t i = first; i < pairs; ++i) weigh(i);
            add_values(first, pairs);
        }
        for (std::int64_t i = 0; i < pairs; ++i) finish(i);
    }

private:
    using F32 = typename Isa::F32;
    static constexpr int kLanes = Isa::kLanes;
    static constexpr int kPairs = AttentionTile<Isa>::kPairs;
    static constexpr int kVectors = AttentionTile<Isa>::kVectors;
    static constexpr int kTileWidth = kVectors * kLanes;
    // Elements of keys taken at a time: a tile of them stays in the first-level cache for all pairs.
    static constexpr std::int64_t kKeyChunk = 96;

    // Pairs are counted from task_.begin.
    std::int64_t first_position() const { return sequence_.context - sequence_.rows; }
    std::int64_t row(std::int64_t pair) const { return (task_.begin + pair) / task_.heads; }
    std::int64_t position(std::int64_t pair) const { return first_position() + row(pair); }
    std::int64_t head_row(std::int64_t pair) const {  // of q and out
        const std::int64_t head = task_.first_head + (task_.begin + pair) % task_.heads;
        return (sequence_.first_row + row(pair)) * args_.heads + head;
    }
    // Positions of the block up to `position`.
    int count_at(std::int64_t position) const {
        const std::int64_t count = position + 1 - start_;
        return static_cast<int>(count < kPageTokens ? count : kPageTokens);
    }

    template <class Element>
    void load_block(int count) {
        const std::int64_t page = sequence_.pages[start_ / kPageTokens] * args_.page_stride;
        const Element* keys = static_cast<const Element*>(args_.keys) + page;
        const Element* values = static_cast<const Element*>(args_.values) + page;
        BlockLoad<Isa>::keys(keys + task_.kv_head * args_.key_head_stride, args_.row_stride, count,
                             args_.key_dim, keys_);
        BlockLoad<Isa>::values(values + task_.kv_head * args_.value_head_stride, args_.row_stride, count,
                               args_.value_dim, values_);
    }

    // Marks the block's masked keys.
    void mark_masked() {
        const std::int64_t end = start_ + kPageTokens;
        block_masked_ = next_masked_ != task_.masked_end && *next_masked_ < end;
        if (!block_masked_) return;
        for (float& key : masked_) key = 0;
        for (; next_masked_ != task_.masked_end && *next_masked_ < end; ++next_masked_) {
            masked_[*next_masked_ - start_] = 1;
        }
    }

    // Calls body.run<P>(pair) for tiles of P <= kPairs pairs, as even as they can be.
    template <class Body>
    [[gnu::always_inline]] static inline void tiles(std::int64_t first, std::int64_t end, const Body& body) {
        const std::int64_t pairs = end - first, count = (pairs + kPairs - 1) / kPairs;
        for (std::int64_t t = 0; t < count; ++t) {
            const std::int64_t begin = first + pairs * t / count;
            switch (first + pairs * (t + 1) / count - begin) {
                case 1: body.template run<1>(begin); break;
                case 2: body.template run<2>(begin); break;
                case 3: body.template run<3>(begin); break;
                default: larger(first + pairs * (t + 1) / count - begin, begin, body);
            }
        }
    }
    template <class Body>
    [[gnu::always_inline]] static inline void larger(std::int64_t size, std::int64_t begin,
                                                     const Body& body) {
        if constexpr (kPairs > 3) {
            if (size == 4)
                body.template run<4>(begin);
            else if (size == 5)
                body.template run<5>(begin);
            else
                body.template run<6>(begin);
        }
    }

    // Adds key elements [from, to) to the scores of P pairs.
    struct ScoreChunk {
        const Attend& self;
        std::int64_t from, to;
        template <int P>
        void run(std::int64_t pair) const {
            const float* q[P];
            for (int i = 0; i < P; ++i) q[i] = self.args_.q + self.head_row(pair + i) * self.args_.key_dim;
            for (int at = 0; at < kPageTokens; at += kTileWidth) {
                float* scores = self.scores_ + pair * kPageTokens + at;
                F32 sum[P][kVectors];
                each<P>([&](int i, int v) {
                    sum[i][v] = from == 0 ? Isa::zero() : Isa::load(scores + i * kPageTokens + v * kLanes);
                });
                for (std::int64_t d = from; d < to; ++d) {
                    multiply<P>(
                        self.keys_ + d * kPageTokens + at, [&](int i) { return q[i][d]; }, sum);
                }
                each<P>([&](int i, int v) { Isa::store(scores + i * kPageTokens + v * kLanes, sum[i][v]); });
            }
        }
    };

    // Adds the weighted values of one panel to the sums of P pairs.
    struct ValuePanel {
        const Attend& self;
        std::int64_t panel;
        template <int P>
        void run(std::int64_t pair) const {
            // Later rows see more of the block; what the first does not see is added to each on its own, so
            // that no pair ever multiplies a value it may not see.
            const int shared = self.count_at(self.position(pair));
            add<P>(pair, 0, shared, self.factor_ + pair);
            for (int i = 1; i < P; ++i) {
                const int own = self.count_at(self.position(pair + i));
                const float one = 1;
                if (own > shared) add<1>(pair + i, shared, own, &one);
            }
        }
        template <int P>
        [[gnu::always_inline]] inline void add(std::int64_t pair, int from, int to,
                                               const float* factor) const {
            const float* weights = self.scores_ + pair * kPageTokens;
            for (int at = 0; at < kPanelColumns; at += kTileWidth) {
                float* sums = self.sums_ + pair * self.columns_ + panel * kPanelColumns + at;
                const float* values = self.values_ + panel * kPageTokens * kPanelColumns + at;
                F32 sum[P][kVectors];
                each<P>([&](int i, int v) {
                    sum[i][v] =
                        Isa::mul(Isa::load(sums + i * self.columns_ + v * kLanes), Isa::set(factor[i]));
                });
                for (int p = from; p < to; ++p) {
                    multiply<P>(
                        values + p * kPanelColumns, [&](int i) { return weights[i * kPageTokens + p]; }, sum);
                }
                each<P>([&](int i, int v) { Isa::store(sums + i * self.columns_ + v * kLanes, sum[i][v]); });
            }
        }
    };

    template <int P, class Body>
    [[gnu::always_inline]] static inline void each(const Body& body) {
#pragma GCC unroll 6
        for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) body(i, v);
        }
    }

    // sum[i] += left(i) * right, an outer product.
    template <int P, class Left>
    [[gnu::always_inline]] static inline void multiply(const float* right, const Left& left,
                                                       F32 (&sum)[P][kVectors]) {
        F32 r[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) r[v] = Isa::load(right + v * kLanes);
#pragma GCC unroll 6
        for (int i = 0; i < P; ++i) {
            const F32 l = Isa::set(left(i));
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sum[i][v] = Isa::fma(l, r[v], sum[i][v]);
        }
    }

    void score(std::int64_t first, std::int64_t pairs) const {
        for (std::int64_t d = 0; d < args_.key_dim; d += kKeyChunk) {
            const std::int64_t to = d + kKeyChunk < args_.key_dim ? d + kKeyChunk : args_.key_dim;
            tiles(first, pairs, ScoreChunk{*this, d, to});
        }
    }

    void add_values(std::int64_t first, std::int64_t pairs) const {
        for (std::int64_t panel = 0; panel < at_.panels; ++panel) {
            tiles(first, pairs, ValuePanel{*this, panel});
        }
    }

    // Turns a pair's scores into exponentials relative to its greatest score so far.
    void weigh(std::int64_t pair) {
        constexpr int kParts = kPageTokens / kLanes;
        static_assert(kParts == 4);
        float* scores = scores_ + pair * kPageTokens;
        const F32 count = Isa::set(static_cast<float>(count_at(position(pair))));
        F32 score[kParts];
        for (int i = 0; i < kParts; ++i) {
            F32 s = Isa::mul(Isa::load(scores + i * kLanes), Isa::set(args_.scale));
            if (args_.softcap > 0) {
                const F32 cap = Isa::set(args_.softcap);
                s = Isa::mul(cap, Math<Isa>::tanh(Isa::div(s, cap)));
            }
            if (block_masked_) {
                s = Isa::select_less(Isa::zero(), Isa::load(masked_ + i * kLanes), Isa::set(kMaskedScore), s);
            }
            score[i] = Isa::select_less(places(i * kLanes), count, s, Isa::set(-__builtin_inff()));
        }
        const F32 most = Isa::max(Isa::max(score[0], score[1]), Isa::max(score[2], score[3]));
        const float before = max_[pair], here = Isa::max_lane(most);
        const float max = here > before ? here : before;
        for (F32& s : score) s = Math<Isa>::exp(Isa::sub(s, Isa::set(max)));
        for (int i = 0; i < kParts; ++i) Isa::store(scores + i * kLanes, score[i]);
        float factor[kLanes];
        Isa::store(factor, Math<Isa>::exp(Isa::set(before - max)));
        const float sum = Isa::sum(Isa::add(Isa::add(score[0], score[1]), Isa::add(score[2], score[3])));
        max_[pair] = max;
        factor_[pair] = factor[0];
        total_[pair] = total_[pair] * factor[0] + sum;
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

    const AttentionTask& task_;
    const AttentionArgs& args_;
    const SequenceRows& sequence_;
    const AttentionScratch& at_;
    float *keys_, *values_, *sums_, *scores_, *max_, *total_, *factor_;
    std::int64_t columns_;  // of sums_
    std::int64_t start_ = 0;
    const std::int32_t* next_masked_;  // the first masked position from start_ on
    bool block_masked_ = false;        // the block has masked keys,
    float masked_[kPageTokens];        // and these are they: 1, others 0
};

template <class Isa>
void attend(const AttentionTask& task) {
    Attend<Isa> attend(task);
    if (task.args->page_dtype == DType::F32)
        attend.template run<float>();
    else
        attend.template run<std::uint16_t>();
}

template <class Isa>
void run_attention(const AttentionArgs& args, const Execution& execution) {
    attend_all(args, execution, &attend<Isa>);
}

}  // namespace sluice::kernels::cpu
