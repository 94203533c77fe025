// Elementary functions on sixteen lanes. Every lane's result depends on that lane alone.
#pragma once

#include "kernels/cpu/simd.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
struct Math {
    using F32 = typename Isa::F32;

    // e^x for x <= 88, within 2 ulp; 0 below -87.33 (where the result would be subnormal) and for -infinity;
    // exactly 1 for 0; NaN for NaN. x = n ln 2 + r, and a polynomial for e^r on |r| <= ln 2 / 2 (relative
    // error 1.1e-8).
    SLUICE_SIMD F32 exp(F32 x) {
        const F32 least = Isa::set(-87.33F);
        const F32 clamped = Isa::max(least, x);
        const F32 n = Isa::round(Isa::mul(clamped, Isa::set(1.442695041F)));
        // ln 2 in two parts; n times the first is exact.
        F32 r = Isa::fma(n, Isa::set(-0.693359375F), clamped);
        r = Isa::fma(n, Isa::set(2.12194440e-4F), r);
        F32 q = Isa::set(1.392625039e-3F);
        q = Isa::fma(q, r, Isa::set(8.363232948e-3F));
        q = Isa::fma(q, r, Isa::set(4.166655242e-2F));
        q = Isa::fma(q, r, Isa::set(1.666657627e-1F));
        q = Isa::fma(q, r, Isa::set(0.5F));
        const F32 power = Isa::add(Isa::fma(Isa::mul(r, r), q, r), Isa::set(1.0F));
        return Isa::select_less(x, least, Isa::zero(), Isa::scale_power(power, n));
    }

    // 1 / (1 + e^-x), within 4 ulp where it is not below 2^-126.
    SLUICE_SIMD F32 sigmoid(F32 x) {
        const F32 one = Isa::set(1.0F);
        const F32 e = exp(Isa::sub(Isa::zero(), Isa::abs(x)));
        return Isa::div(Isa::select_less(x, Isa::zero(), e, one), Isa::add(one, e));
    }

    // Within 4 ulp: a polynomial below 5/8 (relative error 1.7e-8), by e^-2|x| above.
    SLUICE_SIMD F32 tanh(F32 x) {
        const F32 one = Isa::set(1.0F);
        const F32 a = Isa::abs(x);
        const F32 z = Isa::mul(x, x);
        F32 q = Isa::set(-6.096714176e-3F);
        q = Isa::fma(q, z, Isa::set(2.099717967e-2F));
        q = Isa::fma(q, z, Isa::set(-5.385090783e-2F));
        q = Isa::fma(q, z, Isa::set(1.333276927e-1F));
        q = Isa::fma(q, z, Isa::set(-3.333332837e-1F));
        const F32 small = Isa::fma(Isa::mul(x, z), q, x);
        const F32 e = exp(Isa::mul(a, Isa::set(-2.0F)));
        const F32 t = Isa::div(Isa::sub(one, e), Isa::add(one, e));
        const F32 large = Isa::select_less(x, Isa::zero(), Isa::sub(Isa::zero(), t), t);
        return Isa::select_less(a, Isa::set(0.625F), small, large);
    }
};

}  // namespace sluice::kernels::cpu
