#pragma once

#include "kernels/cpu/math.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/vocab_loops.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
struct Vocab {
    using F32 = typename Isa::F32;
    static constexpr int kLanes = Isa::kLanes;

    static bool maxima(const float* logits, std::int64_t count, float* chunk_max) {
        const F32 infinity = Isa::set(__builtin_inff()), one = Isa::set(1.0F);
        F32 bad = Isa::zero();
        for (std::int64_t begin = 0; begin < count; begin += kVocabChunk) {
            const std::int64_t end = end_of(begin, count);
            F32 most = Isa::set(-__builtin_inff());
            for (std::int64_t i = begin; i < end; i += kLanes) {
                const F32 l = load(logits + i, end - i);
                most = Isa::max(l, most);
                bad = Isa::select_less(l, infinity, bad, one);
            }
            *chunk_max++ = Isa::max_lane(most);
        }
        return Isa::max_lane(bad) == 0;
    }

    static void masses(const float* logits, std::int64_t count, float max, float rate, double* chunk_sum) {
        for (std::int64_t begin = 0; begin < count; begin += kVocabChunk) {
            const std::int64_t left = count - begin;
            *chunk_sum++ = left >= kVocabChunk ? chunk<true>(logits + begin, kVocabChunk, max, rate)
                                               : chunk<false>(logits + begin, left, max, rate);
        }
    }

    static void exponentials(const float* logits, std::int64_t count, float max, float rate, float* out) {
        for (std::int64_t i = 0; i < count; i += kLanes) {
            Isa::store(out + i, mass(load(logits + i, count - i), max, rate));
        }
    }

    static int not_below(const float* logits, std::int64_t count, float floor, std::int32_t* at) {
        const F32 least = Isa::set(floor);
        int found = 0;
        for (std::int64_t i = 0; i < count; i += kLanes) {
            unsigned bits = Isa::not_less(load(logits + i, count - i), least);
            if (count - i < kLanes) bits &= (1U << (count - i)) - 1U;
            for (; bits != 0; bits &= bits - 1)
                at[found++] = static_cast<std::int32_t>(i) + __builtin_ctz(bits);
        }
        return found;
    }

private:
    // Vector i goes to sum i mod 4, whether the chunk is whole or not.
    template <bool Whole>
    [[gnu::always_inline]] static inline float chunk(const float* logits, std::int64_t count, float max,
                                                     float rate) {
        F32 sum[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
        for (std::int64_t i = 0; i < count; i += 4 * kLanes) {
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                const std::int64_t at = i + j * kLanes;
                if (!Whole && at >= count) continue;
                const F32 l = Whole ? Isa::load(logits + at) : load(logits + at, count - at);
                sum[j] = Isa::add(sum[j], mass(l, max, rate));
            }
        }
        return Isa::sum(Isa::add(Isa::add(sum[0], sum[1]), Isa::add(sum[2], sum[3])));
    }

    SLUICE_SIMD std::int64_t end_of(std::int64_t begin, std::int64_t count) {
        return begin + kVocabChunk < count ? begin + kVocabChunk : count;
    }
    // Lanes beyond `left` weigh nothing.
    SLUICE_SIMD F32 load(const float* p, std::int64_t left) {
        if (left >= kLanes) return Isa::load(p);
        float padded[kLanes];
        for (float& value : padded) value = -__builtin_inff();
        __builtin_memcpy(padded, p, static_cast<unsigned long>(left) * sizeof(float));
        return Isa::load(padded);
    }
    SLUICE_SIMD F32 mass(F32 l, float max, float rate) {
        return Math<Isa>::exp(Isa::mul(Isa::sub(l, Isa::set(max)), Isa::set(rate)));
    }
};

template <class Isa>
void run_vocab(const VocabArgs& args, const Execution& execution) {
    vocab_with({&Vocab<Isa>::maxima, &Vocab<Isa>::masses, &Vocab<Isa>::exponentials, &Vocab<Isa>::not_below},
               args, execution);
}

}  // namespace sluice::kernels::cpu
