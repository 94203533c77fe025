// Attention on vdpbf16ps: queries and softmax weights are rounded to bfloat16 (nearest even; the instruction
// takes subnormals for zero), scores and sums are float32. For every (row, head) pair, whatever shares the
// task: a score is four sums, each over every fourth pair of elements in order, added as (0 + 2) + (1 + 3);
// values are added by pairs of positions in order, an odd last one alone. A total is of the rounded weights,
// so that they sum to one. Codes of e4m3 pages become bfloat16, exactly, where they are loaded.
#include "kernels/cpu/attention_bits.hpp"
#include "kernels/cpu/attention_rows.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {
namespace {

using Isa = Avx512Bf16;

constexpr int kMostTile = 6;        // pairs of a register tile,
constexpr int kVectors = 4;         // by vectors of four keys or sixteen columns
constexpr int kGroup = 16;          // keys
constexpr std::int64_t kLine = 32;  // bfloat16 of a cache line, and of a register

constexpr std::int64_t padded(std::int64_t dim) { return (dim + kLine - 1) / kLine * kLine; }

[[gnu::always_inline]] inline __m512 dot(__m512 sum, Bits a, Bits b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

template <class Element>
class Attend : AttentionRows<Isa> {
    // Elements that are fetched at once.
    static constexpr std::int64_t kFetched = 64 / sizeof(Element);

public:
    explicit Attend(const AttentionTask& task)
        : AttentionRows(task),
          chunks_((args_.key_dim + 7) / 8),
          keys_(reinterpret_cast<std::uint16_t*>(task.scratch)),
          values_(reinterpret_cast<std::uint16_t*>(task.scratch + task.at->values)),
          queries_(reinterpret_cast<std::uint16_t*>(task.scratch + task.at->queries)),
          query_stride_(padded(args_.key_dim)) {}

    void run() {
        ahead_ = block_ahead(0, pairs_);
        round_queries();
        for (; start_ <= last_position(); start_ += kPageTokens) {
            const int count = count_at(last_position());
            const std::int64_t first = first_pair();
            mark_masked();
            ahead_ = block_ahead(start_ + kPageTokens, tiles_of(first, count));
            for (int key = 0; key < count; key += kGroup) {
                load_keys(key, count);
                tiles<kMostTile>(first, pairs_, ScoreTile{*this, key});
            }
            for (std::int64_t i = first; i < pairs_; ++i) weigh(i);
            for (std::int64_t c = 0; c < columns_; c += kPanelColumns) {
                load_values(c, count);
                tiles<kMostTile>(first, pairs_, ValueTile{*this, c});
            }
        }
        finish();
    }

private:
    // The cache lines of a block to come, some fetched with every step of the work before it.
    struct Ahead {
        struct Part {
            const Element* row = nullptr;
            std::int64_t dim = 0, rows = 0;
        };
        Part keys, values;
        std::int64_t stride = 0, each = 0;

        void fetch() {
            Part& part = keys.rows > 0 ? keys : values;
            std::int64_t lines = each;
            for (; lines > 0 && part.rows > 0; --part.rows, part.row += stride) {
                for (std::int64_t c = 0; c < part.dim; c += kFetched, --lines)
                    _mm_prefetch(reinterpret_cast<const char*>(part.row + c), _MM_HINT_T1);
            }
        }
    };

    const Element* keys() const {
        return static_cast<const Element*>(args_.keys) + task_.kv_head * args_.key_head_stride;
    }
    const Element* values() const {
        return static_cast<const Element*>(args_.values) + task_.kv_head * args_.value_head_stride;
    }

    static std::int64_t fetches(std::int64_t dim) { return (dim + kFetched - 1) / kFetched; }

    // Tiles of scores and of values for the pairs from `first` on and `count` positions.
    std::int64_t tiles_of(std::int64_t first, int count) const {
        return (pairs_ - first + kMostTile - 1) / kMostTile *
               ((count + kGroup - 1) / kGroup + task_.at->panels);
    }

    // The block at `start`, if there is one, spread over `steps`.
    Ahead block_ahead(std::int64_t start, std::int64_t steps) const {
        Ahead ahead;
        const std::int64_t left = last_position() + 1 - start;
        if (left <= 0) return ahead;
        const std::int64_t page = sequence_.pages[start / kPageTokens] * args_.page_stride;
        const std::int64_t rows = left < kPageTokens ? left : kPageTokens;
        const bool among_keys = values() >= keys() && values() + args_.value_dim <= keys() + args_.key_dim;
        ahead.keys = {keys() + page, args_.key_dim, rows};
        ahead.values = {values() + page, args_.value_dim, among_keys ? 0 : rows};
        ahead.stride = args_.row_stride;
        const std::int64_t lines =
            rows * fetches(args_.key_dim) + ahead.values.rows * fetches(args_.value_dim);
        ahead.each = (lines + steps - 1) / steps;
        return ahead;
    }

    void round_queries() {
        for (std::int64_t i = 0; i < pairs_; ++i) {
            ahead_.fetch();
            const float* q = args_.q + head_row(i) * args_.key_dim;
            std::uint16_t* to = queries_ + i * query_stride_;
            for (std::int64_t d = 0; d < query_stride_; d += kLanes) {
                const std::int64_t left = args_.key_dim - d;
                const int lanes = static_cast<int>(left < 0 ? 0 : left < kLanes ? left : kLanes);
                _mm_prefetch(reinterpret_cast<const char*>(q + d + args_.heads * args_.key_dim), _MM_HINT_T0);
                const __m256bh bits = _mm512_cvtneps_pbh(Isa::load_some(q + d, lanes));
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + d), reinterpret_cast<__m256i>(bits));
            }
        }
    }

    // Of a line, the elements that `left` leaves.
    static __mmask32 lanes(std::int64_t left) {
        return left >= kLine ? ~__mmask32{0} : left <= 0 ? 0 : (__mmask32{1} << left) - 1;
    }

    // Sixteen keys, those from `count` on repeating the last: [chunk of 8 elements][vector v][quarter i] is
    // of key 4 i + v.
    void load_keys(int first, int count) const {
        const Element* rows = keys() + page();
        const std::int64_t dim = args_.key_dim;
        for (int v = 0; v < kVectors; ++v) {
            const Element* row[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                const int key = first + 4 * i + v;
                row[i] = rows + (key < count ? key : count - 1) * args_.row_stride;
            }
            std::uint16_t* to = keys_ + v * kLine;
            for (std::int64_t d = 0; d < dim; d += kLine, to += kGroup * kLine) {
                const __mmask32 mask = lanes(dim - d);
                Bits key[4];
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i) key[i] = load_bits(mask, row[i] + d);
                const Bits low01 = _mm512_shuffle_i32x4(key[0], key[1], 0x44);
                const Bits high01 = _mm512_shuffle_i32x4(key[0], key[1], 0xee);
                const Bits low23 = _mm512_shuffle_i32x4(key[2], key[3], 0x44);
                const Bits high23 = _mm512_shuffle_i32x4(key[2], key[3], 0xee);
                _mm512_storeu_si512(to, _mm512_shuffle_i32x4(low01, low23, 0x88));
                _mm512_storeu_si512(to + 4 * kLine, _mm512_shuffle_i32x4(low01, low23, 0xdd));
                _mm512_storeu_si512(to + 8 * kLine, _mm512_shuffle_i32x4(high01, high23, 0x88));
                _mm512_storeu_si512(to + 12 * kLine, _mm512_shuffle_i32x4(high01, high23, 0xdd));
            }
        }
    }

    // The scores of P pairs and the group of sixteen keys from `key` on.
    struct ScoreTile {
        Attend& self;
        int key;
        template <int P>
        void run(std::int64_t pair) const {
            self.ahead_.fetch();
            const std::uint16_t* q = self.queries_ + pair * self.query_stride_;
            __m512 sum[P][kVectors];
#pragma GCC unroll 6
            for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_setzero_ps();
            }
            for (std::int64_t c = 0; c < self.chunks_; ++c) {
                const std::uint16_t* keys = self.keys_ + c * kVectors * kLine;
                Bits k[kVectors];
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v) k[v] = _mm512_loadu_si512(keys + v * kLine);
#pragma GCC unroll 6
                for (int i = 0; i < P; ++i) {
                    const auto* part = reinterpret_cast<const __m128i*>(q + i * self.query_stride_ + c * 8);
                    const Bits query = _mm512_broadcast_i32x4(_mm_loadu_si128(part));
#pragma GCC unroll 4
                    for (int v = 0; v < kVectors; ++v) sum[i][v] = dot(sum[i][v], query, k[v]);
                }
            }
            float* scores = self.scores_ + pair * kPageTokens + key;
#pragma GCC unroll 6
            for (int i = 0; i < P; ++i) _mm512_storeu_ps(scores + i * kPageTokens, across(sum[i]));
        }
        // Lane 4 i + v is the sum of vector v's quarter i.
        static __m512 across(const __m512 (&sum)[kVectors]) {
            const __m512 a =
                _mm512_add_ps(_mm512_unpacklo_ps(sum[0], sum[1]), _mm512_unpackhi_ps(sum[0], sum[1]));
            const __m512 b =
                _mm512_add_ps(_mm512_unpacklo_ps(sum[2], sum[3]), _mm512_unpackhi_ps(sum[2], sum[3]));
            return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
        }
    };

    // Leaves a pair's weights, in bfloat16, in the first half of its scores' place. The exponentials are no
    // subnormals, which this conversion would take for zero.
    void weigh(std::int64_t pair) {
        F32 e[kParts];
        exponentials(pair, e);
        const Bits low = reinterpret_cast<Bits>(_mm512_cvtne2ps_pbh(e[1], e[0]));
        const Bits high = reinterpret_cast<Bits>(_mm512_cvtne2ps_pbh(e[3], e[2]));
        std::uint16_t* to = weights(pair);
        _mm512_storeu_si512(to, low);
        _mm512_storeu_si512(to + kLine, high);
        const Bits ones = _mm512_set1_epi16(0x3f80);
        add_total(pair, Isa::sum(dot(dot(Isa::zero(), ones, low), ones, high)));
    }
    std::uint16_t* weights(std::int64_t pair) const {
        return reinterpret_cast<std::uint16_t*>(scores_ + pair * kPageTokens);
    }

    // Columns [from, from + 64) of the block's values: [pair of positions][column][2], zeros where there is
    // none.
    void load_values(std::int64_t from, int count) const {
        const std::int64_t stride = args_.row_stride;
        const Element* row = values() + page() + from;
        const __mmask32 mask[2] = {lanes(args_.value_dim - from), lanes(args_.value_dim - from - kLine)};
        const Bits first = interleaved(0), second = interleaved(16);
        std::uint16_t* to = values_;
        for (int p = 0; p < count; p += 2, row += 2 * stride, to += 2 * kPanelColumns) {
            const bool both = p + 1 < count;
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                const Bits even = load_bits(mask[half], row + half * kLine);
                const Bits odd = load_bits(both ? mask[half] : 0, row + stride + half * kLine);
                _mm512_storeu_si512(to + 2 * half * kLine, _mm512_permutex2var_epi16(even, first, odd));
                _mm512_storeu_si512(to + 2 * half * kLine + kLine,
                                    _mm512_permutex2var_epi16(even, second, odd));
            }
        }
    }
    // Elements from, from of the other, from + 1, ...
    static Bits interleaved(int from) {
        const Bits columns = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const Bits even = _mm512_add_epi32(columns, _mm512_set1_epi32(from));
        return _mm512_or_si512(even, _mm512_slli_epi32(_mm512_add_epi32(even, _mm512_set1_epi32(32)), 16));
    }

    // Adds the weighted values of the columns [column, column + 64) to the sums of P pairs.
    struct ValueTile {
        Attend& self;
        std::int64_t column;
        template <int P>
        void run(std::int64_t pair) const {
            self.ahead_.fetch();
            // Later rows see more of the block; what the first does not see is added to each on its own, so
            // that no pair ever multiplies a value it may not see.
            const int shared = self.count_at(self.position(pair));
            if (self.count_at(self.position(pair + P - 1)) == shared)
                return add<P>(pair, 0, shared, self.factor_ + pair);
            const int whole = shared / 2 * 2;
            add<P>(pair, 0, whole, self.factor_ + pair);
            const float one = 1;
            for (int i = 0; i < P; ++i) add<1>(pair + i, whole, self.count_at(self.position(pair + i)), &one);
        }
        // Positions [from, to) of the block, `from` even.
        template <int P>
        void add(std::int64_t pair, int from, int to, const float* factor) const {
            float* sums = self.sums_ + pair * self.columns_ + column;
            __m512 sum[P][kVectors];
#pragma GCC unroll 6
            for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v)
                    sum[i][v] =
                        Isa::mul(Isa::load(sums + i * self.columns_ + v * kLanes), Isa::set(factor[i]));
            }
            const std::uint16_t* weights = self.weights(pair);
            int p = from;
            for (; p + 2 <= to; p += 2) step<P>(weights, p, ~__mmask32{0}, sum);
            if (p < to) step<P>(weights, p, 0x55555555, sum);
#pragma GCC unroll 6
            for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v)
                    Isa::store(sums + i * self.columns_ + v * kLanes, sum[i][v]);
            }
        }
        // Positions p and p + 1, of the values that the mask lets through.
        template <int P>
        [[gnu::always_inline]] inline void step(const std::uint16_t* weights, int p, __mmask32 mask,
                                                __m512 (&sum)[P][kVectors]) const {
            const std::uint16_t* values = self.values_ + p * kPanelColumns;
            Bits value[kVectors];
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) value[v] = _mm512_maskz_loadu_epi16(mask, values + v * kLine);
#pragma GCC unroll 6
            for (int i = 0; i < P; ++i) {
                int two;
                __builtin_memcpy(&two, weights + i * 2 * kPageTokens + p, sizeof(two));
                const Bits weight = _mm512_set1_epi32(two);
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v) sum[i][v] = dot(sum[i][v], weight, value[v]);
            }
        }
    };

    const std::int64_t chunks_;  // of eight key elements
    std::uint16_t *const keys_, *const values_, *const queries_;
    const std::int64_t query_stride_;
    Ahead ahead_;
};

void attend(const AttentionTask& task) {
    if (task.args->page_dtype == DType::F8E4M3)
        Attend<std::uint8_t>(task).run();
    else
        Attend<std::uint16_t>(task).run();
}

}  // namespace

void run_attention_avx512_bf16(const AttentionArgs& args, const Execution& execution) {
    AttentionTiles tiles;
    tiles.keys = kGroup * padded(args.key_dim) / 2;
    tiles.values = kPageTokens * kPanelColumns / 2;
    tiles.query = padded(args.key_dim) / 2;
    attend_all(args, execution, tiles, &attend);
}

}  // namespace sluice::kernels::cpu
