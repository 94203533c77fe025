// One attention task. For every (row, head) pair, whatever shares the task: blocks of 64 positions from 0 up;
// a score is one chain of multiply-adds over key_dim; the values are added position after position.
#pragma once

#include "kernels/cpu/attention_load.hpp"
#include "kernels/cpu/attention_rows.hpp"
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
class Attend : AttentionRows<Isa> {
    using Rows = AttentionRows<Isa>;

public:
    explicit Attend(const AttentionTask& task)
        : Rows(task), keys_(task.scratch), values_(task.scratch + task.at->values) {}

    template <class Element>
    void run() {
        for (; start_ <= this->last_position(); start_ += kPageTokens) {
            load_block<Element>(this->count_at(this->last_position()));
            this->mark_masked();
            const std::int64_t first = this->first_pair();
            score(first);
            for (std::int64_t i = first; i < pairs_; ++i) weigh(i);
            add_values(first);
        }
        this->finish();
    }

private:
    using Rows::args_, Rows::columns_, Rows::factor_, Rows::pairs_, Rows::scores_, Rows::start_, Rows::sums_;
    using Rows::kLanes, Rows::kParts;
    using F32 = typename Isa::F32;
    static constexpr int kPairs = AttentionTile<Isa>::kPairs;
    static constexpr int kVectors = AttentionTile<Isa>::kVectors;
    static constexpr int kTileWidth = kVectors * kLanes;
    // Elements of keys taken at a time: a tile of them stays in the first-level cache for all pairs.
    static constexpr std::int64_t kKeyChunk = 96;

    template <class Element>
    void load_block(int count) {
        const std::int64_t page = this->page(), head = this->task_.kv_head;
        const Element* keys = static_cast<const Element*>(args_.keys) + page;
        const Element* values = static_cast<const Element*>(args_.values) + page;
        BlockLoad<Isa>::keys(keys + head * args_.key_head_stride, args_.row_stride, count, args_.key_dim,
                             keys_);
        BlockLoad<Isa>::values(values + head * args_.value_head_stride, args_.row_stride, count,
                               args_.value_dim, values_);
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

    void score(std::int64_t first) const {
        for (std::int64_t d = 0; d < args_.key_dim; d += kKeyChunk) {
            const std::int64_t to = d + kKeyChunk < args_.key_dim ? d + kKeyChunk : args_.key_dim;
            Rows::template tiles<kPairs>(first, pairs_, ScoreChunk{*this, d, to});
        }
    }

    void add_values(std::int64_t first) const {
        for (std::int64_t panel = 0; panel < this->task_.at->panels; ++panel) {
            Rows::template tiles<kPairs>(first, pairs_, ValuePanel{*this, panel});
        }
    }

    void weigh(std::int64_t pair) {
        F32 weight[kParts];
        this->exponentials(pair, weight);
        float* weights = scores_ + pair * kPageTokens;
        for (int i = 0; i < kParts; ++i) Isa::store(weights + i * kLanes, weight[i]);
        this->add_total(pair,
                        Isa::sum(Isa::add(Isa::add(weight[0], weight[1]), Isa::add(weight[2], weight[3]))));
    }

    float *keys_, *values_;
};

template <class Isa>
void attend(const AttentionTask& task) {
    Attend<Isa> attend(task);
    if (task.args->page_dtype == DType::F32)
        attend.template run<float>();
    else if (task.args->page_dtype == DType::F8E4M3)
        attend.template run<std::uint8_t>();
    else
        attend.template run<std::uint16_t>();
}

template <class Isa>
void run_attention(const AttentionArgs& args, const Execution& execution) {
    AttentionTiles tiles;
    tiles.keys = args.key_dim * kPageTokens;
    tiles.values = (args.value_dim + kPanelColumns - 1) / kPanelColumns * kPanelColumns * kPageTokens;
    attend_all(args, execution, tiles, &attend<Isa>);
}

}  // namespace sluice::kernels::cpu
