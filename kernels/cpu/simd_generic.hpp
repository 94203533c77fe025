// Sixteen lanes in GCC's portable vectors: any processor. See simd.hpp.
#pragma once

#include <cstdint>

#define SLUICE_SIMD [[gnu::always_inline]] static inline

namespace sluice::kernels::cpu {

struct Generic {
    static constexpr int kLanes = 16;

    using Floats = float __attribute__((vector_size(16)));
    using Ints = std::int32_t __attribute__((vector_size(16)));
    struct F32 {
        Floats part[4];
    };

    SLUICE_SIMD F32 set(float value) {
        const Floats v = {value, value, value, value};
        return {{v, v, v, v}};
    }
    SLUICE_SIMD F32 zero() { return set(0); }
    SLUICE_SIMD F32 load(const float* p) {
        F32 v;
        __builtin_memcpy(&v, p, sizeof(v));
        return v;
    }
    SLUICE_SIMD void store(float* p, F32 v) { __builtin_memcpy(p, &v, sizeof(v)); }
    SLUICE_SIMD F32 load_some(const float* p, int n) {
        F32 v = zero();
        __builtin_memcpy(&v, p, static_cast<unsigned>(n) * sizeof(float));
        return v;
    }
    SLUICE_SIMD void store_some(float* p, F32 v, int n) {
        __builtin_memcpy(p, &v, static_cast<unsigned>(n) * sizeof(float));
    }

    SLUICE_SIMD F32 add(F32 a, F32 b) {
        for (int i = 0; i < 4; ++i) a.part[i] = a.part[i] + b.part[i];
        return a;
    }
    SLUICE_SIMD F32 sub(F32 a, F32 b) {
        for (int i = 0; i < 4; ++i) a.part[i] = a.part[i] - b.part[i];
        return a;
    }
    SLUICE_SIMD F32 mul(F32 a, F32 b) {
        for (int i = 0; i < 4; ++i) a.part[i] = a.part[i] * b.part[i];
        return a;
    }
    SLUICE_SIMD F32 div(F32 a, F32 b) {
        for (int i = 0; i < 4; ++i) a.part[i] = a.part[i] / b.part[i];
        return a;
    }
    SLUICE_SIMD F32 fma(F32 a, F32 b, F32 c) {
#ifdef __FP_FAST_FMAF
        for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < 4; ++j)
                c.part[i][j] = __builtin_fmaf(a.part[i][j], b.part[i][j], c.part[i][j]);
        }
        return c;
#else
        return add(mul(a, b), c);
#endif
    }
    SLUICE_SIMD F32 sqrt(F32 a) {
        for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < 4; ++j) a.part[i][j] = __builtin_sqrtf(a.part[i][j]);
        }
        return a;
    }
    SLUICE_SIMD F32 max(F32 a, F32 b) { return select_less(b, a, a, b); }
    SLUICE_SIMD F32 min(F32 a, F32 b) { return select_less(a, b, a, b); }
    SLUICE_SIMD F32 select_less(F32 a, F32 b, F32 x, F32 y) {
        for (int i = 0; i < 4; ++i) {
            const Ints less = a.part[i] < b.part[i];
            x.part[i] = floats((less & ints(x.part[i])) | (~less & ints(y.part[i])));
        }
        return x;
    }
    SLUICE_SIMD unsigned not_less(F32 a, F32 b) {
        unsigned bits = 0;
        for (int i = 0; i < 16; ++i) bits |= (a.part[i / 4][i % 4] < b.part[i / 4][i % 4] ? 0U : 1U) << i;
        return bits;
    }
    SLUICE_SIMD F32 abs(F32 a) {
        for (int i = 0; i < 4; ++i) a.part[i] = floats(ints(a.part[i]) & 0x7fffffff);
        return a;
    }
    SLUICE_SIMD F32 round(F32 a) {  // adding 1.5 * 2^23 leaves no fraction bits
        const F32 magic = set(12582912.0F);
        return sub(add(a, magic), magic);
    }
    SLUICE_SIMD F32 scale_power(F32 a, F32 n) {  // the low bits of n + (127 + 1.5 * 2^23) are the exponent
        const F32 biased = add(n, set(12582912.0F + 127.0F));
        F32 power;
        for (int i = 0; i < 4; ++i) power.part[i] = floats(ints(biased.part[i]) << 23);
        return mul(a, power);
    }
    SLUICE_SIMD F32 power_below(F32 a) {
        for (int i = 0; i < 4; ++i) a.part[i] = floats(ints(a.part[i]) & 0x7f800000);
        return a;
    }
    SLUICE_SIMD float sum(F32 a) {
        const Floats v = (a.part[0] + a.part[2]) + (a.part[1] + a.part[3]);
        return (v[0] + v[2]) + (v[1] + v[3]);
    }
    SLUICE_SIMD float max_lane(F32 a) {
        float best = a.part[0][0];
        for (int i = 1; i < 16; ++i) {
            const float v = a.part[i / 4][i % 4];
            best = v > best ? v : best;
        }
        return best;
    }

    SLUICE_SIMD F32 load_bf16(const std::uint16_t* p) {
        F32 v;
        for (int i = 0; i < 4; ++i) {
            Ints bits = {p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3]};
            v.part[i] = floats(bits << 16);
        }
        return v;
    }
    SLUICE_SIMD F32 load_bf16_some(const std::uint16_t* p, int n) {
        std::uint16_t bits[16] = {};
        __builtin_memcpy(bits, p, static_cast<unsigned>(n) * sizeof(std::uint16_t));
        return load_bf16(bits);
    }
    SLUICE_SIMD void store_bf16(std::uint16_t* p, F32 v) { store_bf16_some(p, v, 16); }
    SLUICE_SIMD void store_bf16_some(std::uint16_t* p, F32 v, int n) {
        Halves halves[4];
        for (int i = 0; i < 4; ++i) halves[i] = round_bf16(v.part[i]);
        __builtin_memcpy(p, halves, static_cast<unsigned>(n) * sizeof(std::uint16_t));
    }

    SLUICE_SIMD void prefetch(const void* p) { __builtin_prefetch(p); }
    SLUICE_SIMD void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

private:
    SLUICE_SIMD Ints ints(Floats v) { return reinterpret_cast<Ints>(v); }
    SLUICE_SIMD Floats floats(Ints v) { return reinterpret_cast<Floats>(v); }
    using Bits = std::uint32_t __attribute__((vector_size(16)));
    using Halves = std::uint16_t __attribute__((vector_size(8)));
    SLUICE_SIMD Halves round_bf16(Floats v) {
        const Bits bits = reinterpret_cast<Bits>(v);
        const Bits rounded = bits + 0x7fffU + (bits >> 16U & 1U), quiet = bits | 0x400000U;
        const Bits number = reinterpret_cast<Bits>(v == v);  // NOLINT: NaNs are not
        return __builtin_convertvector(((number & rounded) | (~number & quiet)) >> 16U, Halves);
    }
};

}  // namespace sluice::kernels::cpu
