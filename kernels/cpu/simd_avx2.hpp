// Sixteen lanes in two AVX2 registers, with FMA and F16C. See simd.hpp.
#pragma once

#include "kernels/cpu/simd_generic.hpp"

#include <immintrin.h>

#include <cstdint>

namespace sluice::kernels::cpu {

struct Avx2 {
    static constexpr int kLanes = 16;

    struct F32 {
        __m256 lo, hi;
    };

    SLUICE_SIMD F32 set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
    SLUICE_SIMD F32 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
    SLUICE_SIMD F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    SLUICE_SIMD void store(float* p, F32 v) {
        _mm256_storeu_ps(p, v.lo);
        _mm256_storeu_ps(p + 8, v.hi);
    }
    SLUICE_SIMD F32 load_some(const float* p, int n) {
        return {_mm256_maskload_ps(p, first(n)), _mm256_maskload_ps(p + 8, first(n - 8))};
    }
    SLUICE_SIMD void store_some(float* p, F32 v, int n) {
        _mm256_maskstore_ps(p, first(n), v.lo);
        _mm256_maskstore_ps(p + 8, first(n - 8), v.hi);
    }

    SLUICE_SIMD F32 add(F32 a, F32 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 sub(F32 a, F32 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 mul(F32 a, F32 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 div(F32 a, F32 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
    SLUICE_SIMD F32 fma(F32 a, F32 b, F32 c) {
        return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
    }
    SLUICE_SIMD F32 sqrt(F32 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
    SLUICE_SIMD F32 select_less(F32 a, F32 b, F32 x, F32 y) {
        return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
                _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
    }
    SLUICE_SIMD unsigned not_less(F32 a, F32 b) {
        const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_NLT_UQ));
        const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_NLT_UQ));
        return static_cast<unsigned>(lo) | static_cast<unsigned>(hi) << 8U;
    }
    SLUICE_SIMD F32 abs(F32 a) {
        const __m256 sign = _mm256_set1_ps(-0.0F);
        return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
    }
    SLUICE_SIMD F32 round(F32 a) {
        constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        return {_mm256_round_ps(a.lo, kNearest), _mm256_round_ps(a.hi, kNearest)};
    }
    SLUICE_SIMD F32 scale_power(F32 a, F32 n) { return {scale_half(a.lo, n.lo), scale_half(a.hi, n.hi)}; }
    SLUICE_SIMD F32 power_below(F32 a) {
        const __m256 exponent = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
        return {_mm256_and_ps(a.lo, exponent), _mm256_and_ps(a.hi, exponent)};
    }
    SLUICE_SIMD float sum(F32 a) {
        const __m256 v = _mm256_add_ps(a.lo, a.hi);
        const __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
        return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
    }
    SLUICE_SIMD float max_lane(F32 a) {
        const __m256 v = _mm256_max_ps(a.lo, a.hi);
        const __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
        return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
    }

    SLUICE_SIMD F32 load_bf16(const std::uint16_t* p) {
        return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
    }
    SLUICE_SIMD F32 load_bf16_some(const std::uint16_t* p, int n) {
        std::uint16_t bits[16] = {};
        __builtin_memcpy(bits, p, static_cast<unsigned>(n) * sizeof(std::uint16_t));
        return load_bf16(bits);
    }
    SLUICE_SIMD void store_bf16(std::uint16_t* p, F32 v) {
        const __m256i packed = _mm256_packus_epi32(narrow(v.lo), narrow(v.hi));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
    }
    SLUICE_SIMD void store_bf16_some(std::uint16_t* p, F32 v, int n) {
        std::uint16_t bits[16];
        store_bf16(bits, v);
        __builtin_memcpy(p, bits, static_cast<unsigned>(n) * sizeof(std::uint16_t));
    }

    SLUICE_SIMD void prefetch(const void* p) { __builtin_prefetch(p); }
    SLUICE_SIMD void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

private:
    SLUICE_SIMD __m256i first(int n) {  // all ones in lanes below n
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    SLUICE_SIMD __m256 scale_half(__m256 a, __m256 n) {
        const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    }
    SLUICE_SIMD __m256 widen(__m128i bits) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
    SLUICE_SIMD __m256i narrow(__m256 v) {  // bfloat16 bits, rounded, in the low half of each lane
        const __m256i bits = _mm256_castps_si256(v);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
        const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    }
};

}  // namespace sluice::kernels::cpu
