// Sixteen lanes in one AVX-512 register; Avx512Bf16 is the same with more instructions. See simd.hpp.
#pragma once

#include "kernels/cpu/simd_generic.hpp"

#include <immintrin.h>

#include <cstdint>

namespace sluice::kernels::cpu {

struct Avx512 {
    static constexpr int kLanes = 16;

    using F32 = __m512;

    SLUICE_SIMD F32 set(float value) { return _mm512_set1_ps(value); }
    SLUICE_SIMD F32 zero() { return _mm512_setzero_ps(); }
    SLUICE_SIMD F32 load(const float* p) { return _mm512_loadu_ps(p); }
    SLUICE_SIMD void store(float* p, F32 v) { _mm512_storeu_ps(p, v); }
    SLUICE_SIMD F32 load_some(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
    SLUICE_SIMD void store_some(float* p, F32 v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }

    SLUICE_SIMD F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
    SLUICE_SIMD F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
    SLUICE_SIMD F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
    SLUICE_SIMD F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
    SLUICE_SIMD F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
    SLUICE_SIMD F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
    SLUICE_SIMD F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
    SLUICE_SIMD F32 sqrt(F32 a) { return _mm512_sqrt_ps(a); }
    SLUICE_SIMD F32 abs(F32 a) { return _mm512_abs_ps(a); }
    SLUICE_SIMD F32 select_less(F32 a, F32 b, F32 x, F32 y) {
        return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
    }
    SLUICE_SIMD unsigned not_less(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ); }
    SLUICE_SIMD F32 round(F32 a) {
        return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    SLUICE_SIMD F32 scale_power(F32 a, F32 n) {
        const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
        return _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
    }
    SLUICE_SIMD F32 power_below(F32 a) {
        return _mm512_and_ps(a, _mm512_castsi512_ps(_mm512_set1_epi32(0x7f800000)));
    }
    SLUICE_SIMD float sum(F32 a) {
        const __m256 v = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
        const __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
        return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
    }
    SLUICE_SIMD float max_lane(F32 a) {
        const __m256 v = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
        const __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
        return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
    }

    SLUICE_SIMD F32 load_bf16(const std::uint16_t* p) {
        return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    SLUICE_SIMD F32 load_bf16_some(const std::uint16_t* p, int n) {
        return widen(_mm256_maskz_loadu_epi16(first(n), p));
    }
    SLUICE_SIMD void store_bf16(std::uint16_t* p, F32 v) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(v));
    }
    SLUICE_SIMD void store_bf16_some(std::uint16_t* p, F32 v, int n) {
        _mm256_mask_storeu_epi16(p, first(n), narrow(v));
    }

    SLUICE_SIMD void prefetch(const void* p) { __builtin_prefetch(p); }
    SLUICE_SIMD void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

private:
    SLUICE_SIMD __mmask16 first(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
    SLUICE_SIMD F32 widen(__m256i bits) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
    }
    // Not vcvtneps2bf16, which flushes subnormals to zero.
    SLUICE_SIMD __m256i narrow(F32 v) {
        const __m512i bits = _mm512_castps_si512(v);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
        const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        const __m512i chosen = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
        return _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16));
    }
};

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)
struct Avx512Bf16 : Avx512 {};
#endif

}  // namespace sluice::kernels::cpu
