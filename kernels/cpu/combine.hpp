#pragma once

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"

namespace sluice::kernels::cpu {

// One row of CombineArgs, some lanes of columns at a time.
template <class Isa>
struct Combine {
    using F32 = typename Isa::F32;
    static constexpr int kVectors = 4;
    // Elements: more rows are read at once than the hardware prefetcher follows. Beyond a row's end the next
    // row mostly begins; whatever is there, a prefetch does no harm.
    static constexpr int kAhead = 256;
    struct Columns {
        F32 v[kVectors];
    };

    // Columns [i, i + 16 kVectors) of slice s; `left` of them exist.
    template <bool Whole>
    [[gnu::always_inline]] static inline Columns slice(const CombineArgs& args, std::int64_t r,
                                                       std::int64_t i, int left, int s) {
        Columns sum;
        if (args.base != nullptr)
            sum = load<Whole>(args.base + (s * args.rows + r) * args.dim + i, left);
        else
            for (F32& v : sum.v) v = Isa::zero();
        for (std::int64_t j = r * args.top_k; j < (r + 1) * args.top_k; ++j) {
            const std::int32_t expert = args.expert[j];
            if (expert < args.first_expert[s] || expert >= args.first_expert[s + 1]) continue;
            const F32 weight = Isa::set(args.weight[j]);
            const Columns x = load<Whole>(args.expert_rows + args.place[j] * args.dim + i, left);
#pragma GCC unroll 4
            for (int n = 0; n < kVectors; ++n) sum.v[n] = Isa::fma(weight, x.v[n], sum.v[n]);
        }
        return sum;
    }

    // The tree over slices as a binary counter: pending[l] is the sum of 2^l neighbours whose right-hand
    // neighbour is to come; at the end what is pending is added from the right.
    template <bool Whole>
    [[gnu::always_inline]] static inline void columns(const CombineArgs& args, std::int64_t r, std::int64_t i,
                                                      int left) {
        Columns pending[32];
        int depth = 0;
        for (int s = 0; s < args.slices; ++s) {
            Columns sum = slice<Whole>(args, r, i, left, s);
            for (int bit = s; bit & 1; bit >>= 1) sum = add(pending[--depth], sum);
            pending[depth++] = sum;
        }
        while (depth > 1) {
            pending[depth - 2] = add(pending[depth - 2], pending[depth - 1]);
            --depth;
        }
        float* out = args.out + r * args.dim + i;
#pragma GCC unroll 4
        for (int n = 0; n < kVectors; ++n) {
            if constexpr (Whole)
                Isa::store(out + n * Isa::kLanes, pending[0].v[n]);
            else
                Isa::store_some(out + n * Isa::kLanes, pending[0].v[n], lanes(left, n));
        }
    }

    static void row(const CombineArgs& args, std::int64_t r) {
        constexpr std::int64_t kWidth = kVectors * Isa::kLanes;
        std::int64_t i = 0;
        for (; i + kWidth <= args.dim; i += kWidth) columns<true>(args, r, i, kWidth);
        if (i < args.dim) columns<false>(args, r, i, static_cast<int>(args.dim - i));
    }

private:
    SLUICE_SIMD int lanes(int left, int n) {
        const int here = left - n * Isa::kLanes;
        return here < 0 ? 0 : here < Isa::kLanes ? here : Isa::kLanes;
    }
    template <bool Whole>
    [[gnu::always_inline]] static inline Columns load(const float* p, int left) {
        Columns x;
#pragma GCC unroll 4
        for (int n = 0; n < kVectors; ++n) {
            if constexpr (Whole) {
                x.v[n] = Isa::load(p + n * Isa::kLanes);
                Isa::prefetch(p + kAhead + n * Isa::kLanes);
            } else
                x.v[n] = Isa::load_some(p + n * Isa::kLanes, lanes(left, n));
        }
        return x;
    }
    SLUICE_SIMD Columns add(Columns a, const Columns& b) {
        for (int n = 0; n < kVectors; ++n) a.v[n] = Isa::add(a.v[n], b.v[n]);
        return a;
    }
};

template <class Isa>
void run_combine(const CombineArgs& args, const Execution& execution) {
    const std::int64_t work = args.dim * (args.slices + args.top_k);
    over_rows(args.rows, work, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) Combine<Isa>::row(args, r);
    });
}

}  // namespace sluice::kernels::cpu
