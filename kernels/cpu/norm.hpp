// RMSNorm of one row. The squares are summed in 64 float32 partial sums (element i in sum i mod 64), then
// those in one fixed tree: all terms are positive, so the relative error is below (dim / 64 + 7) * 2^-24.
#pragma once

#include "kernels/cpu/simd.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

template <class Isa>
struct Norm {
    using F32 = typename Isa::F32;
    static constexpr int kLanes = Isa::kLanes;

    // 1 / sqrt(mean(x^2) + eps) in every lane.
    [[gnu::always_inline]] static inline F32 factor(const float* x, std::int64_t dim, float eps) {
        F32 sum[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
        std::int64_t i = 0;
        for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                const F32 v = Isa::load(x + i + j * kLanes);
                sum[j] = Isa::fma(v, v, sum[j]);
            }
        }
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            if (i >= dim) break;
            const F32 v = Isa::load_some(x + i, lanes(dim - i));
            sum[j] = Isa::fma(v, v, sum[j]);
            i += kLanes;
        }
        const float squares = Isa::sum(Isa::add(Isa::add(sum[0], sum[1]), Isa::add(sum[2], sum[3])));
        const F32 mean = Isa::set(squares / static_cast<float>(dim) + eps);
        return Isa::div(Isa::set(1.0F), Isa::sqrt(mean));
    }

    // out = x * factor * gain (+ out, where `Add`). Out may be x.
    template <bool Add>
    [[gnu::always_inline]] static inline void apply(const float* x, F32 factor, const float* gain,
                                                    std::int64_t dim, float* out) {
        std::int64_t i = 0;
        for (; i + kLanes <= dim; i += kLanes) {
            F32 v = Isa::mul(Isa::mul(Isa::load(x + i), factor), Isa::load(gain + i));
            if constexpr (Add) v = Isa::add(Isa::load(out + i), v);
            Isa::store(out + i, v);
        }
        if (i == dim) return;
        const int n = lanes(dim - i);
        F32 v = Isa::mul(Isa::mul(Isa::load_some(x + i, n), factor), Isa::load_some(gain + i, n));
        if constexpr (Add) v = Isa::add(Isa::load_some(out + i, n), v);
        Isa::store_some(out + i, v, n);
    }

private:
    SLUICE_SIMD int lanes(std::int64_t left) { return left < kLanes ? static_cast<int>(left) : kLanes; }
};

}  // namespace sluice::kernels::cpu
