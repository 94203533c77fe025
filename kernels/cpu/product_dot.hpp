// How each instruction set adds one k pair of a panel to sixteen accumulators.
//
// A Dot gives: X (element of a converted row), Pair (a panel's k pair in registers), load_pair<Format>(p),
// load_x(x), dot(sum, pair, x) = sum + even + odd element, in that order, two fused steps (or the single
// instruction's own fixed order); store_pair (in format kDecoded, for reuse), store_x; kAccumulators, the
// largest register tile, and kBulkPanels, its width where there are many rows.
#pragma once

#include "kernels/cpu/layout.hpp"
#include "kernels/cpu/simd.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

// Two float32 multiply-adds a pair. Decode gives the formats that need bits taken apart.
template <class Isa, class Decode, int accumulators, int bulk_panels>
struct FloatDot : Isa {
    using typename Isa::F32;
    using X = float;
    struct Pair {
        F32 even, odd;
    };
    static constexpr int kAccumulators = accumulators;
    static constexpr int kBulkPanels = bulk_panels;
    static constexpr Format kDecoded = Format::F32;

    template <Format format>
    SLUICE_SIMD Pair load_pair(const std::byte* p) {
        Pair pair;
        if constexpr (format == Format::F32) {
            const auto* values = reinterpret_cast<const float*>(p);
            pair = {Isa::load(values), Isa::load(values + kPanel)};
        } else if constexpr (format == Format::Bf16) {
            Decode::pair_bf16(p, pair.even, pair.odd);
        } else if constexpr (format == Format::Fp8) {
            Decode::pair_fp8(p, pair.even, pair.odd);
        } else {
            Decode::pair_int8(p, pair.even, pair.odd);
        }
        return pair;
    }
    SLUICE_SIMD Pair load_x(const X* x) { return {Isa::set(x[0]), Isa::set(x[1])}; }
    SLUICE_SIMD F32 dot(F32 sum, Pair pair, Pair x) {
        return Isa::fma(x.odd, pair.odd, Isa::fma(x.even, pair.even, sum));
    }
    SLUICE_SIMD void store_pair(std::byte* p, Pair pair) {
        Isa::store(reinterpret_cast<float*>(p), pair.even);
        Isa::store(reinterpret_cast<float*>(p) + kPanel, pair.odd);
    }
    // n of 16 values, rounded to bfloat16 unless they are exact.
    SLUICE_SIMD void store_x(X* p, F32 v, int n, bool exact) {
        if (!exact) {
            std::uint16_t bits[16];
            Isa::store_bf16(bits, v);
            v = Isa::load_bf16(bits);
        }
        Isa::store_some(p, v, n);
    }
};

// An e4m3 code shifted into a wider float's fields is the value times a power of two (its bias is 7,
// float32's 127 and float16's 15), subnormals included; multiplying by that power is exact.
struct GenericDecode {
    using Ints = Generic::Ints;
    using Floats = Generic::Floats;
    SLUICE_SIMD void pair_bf16(const std::byte* p, Generic::F32& even, Generic::F32& odd) {
        for (int i = 0; i < 4; ++i) {
            Ints pair;
            __builtin_memcpy(&pair, p + 16 * i, 16);
            even.part[i] = reinterpret_cast<Floats>(pair << 16);
            odd.part[i] = reinterpret_cast<Floats>(pair & static_cast<std::int32_t>(0xffff0000U));
        }
    }
    SLUICE_SIMD void pair_fp8(const std::byte* p, Generic::F32& even, Generic::F32& odd) {
        for (int i = 0; i < 4; ++i) {
            std::uint16_t two[4];
            __builtin_memcpy(two, p + 8 * i, 8);
            const Ints codes = {two[0], two[1], two[2], two[3]};
            even.part[i] = decode(codes);
            odd.part[i] = decode(codes >> 8);
        }
    }
    SLUICE_SIMD void pair_int8(const std::byte* p, Generic::F32& even, Generic::F32& odd) {
        for (int i = 0; i < 4; ++i) {
            std::uint16_t two[4];
            __builtin_memcpy(two, p + 8 * i, 8);
            const Ints codes = {two[0], two[1], two[2], two[3]};
            even.part[i] = __builtin_convertvector((codes << 24) >> 24, Floats);
            odd.part[i] = __builtin_convertvector((codes << 16) >> 24, Floats);
        }
    }
    SLUICE_SIMD Floats decode(Ints codes) {
        const Ints bits = (codes & 0x7f) << 20 | (codes & 0x80) << 24;
        return reinterpret_cast<Floats>(bits) * 0x1p120F;
    }
};
using GenericDot = FloatDot<Generic, GenericDecode, 2, 1>;

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
struct Avx2Decode {
    SLUICE_SIMD void pair_bf16(const std::byte* p, Avx2::F32& even, Avx2::F32& odd) {
        const auto* v = reinterpret_cast<const __m256i*>(p);
        const __m256i lo = _mm256_loadu_si256(v), hi = _mm256_loadu_si256(v + 1);
        const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
        even = {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
                _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
        odd = {_mm256_castsi256_ps(_mm256_and_si256(lo, upper)),
               _mm256_castsi256_ps(_mm256_and_si256(hi, upper))};
    }
    SLUICE_SIMD void pair_fp8(const std::byte* p, Avx2::F32& even, Avx2::F32& odd) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        even = widen(halves(_mm256_slli_epi16(codes, 8)));
        odd = widen(halves(codes));
    }
    SLUICE_SIMD void pair_int8(const std::byte* p, Avx2::F32& even, Avx2::F32& odd) {
        const auto* codes = reinterpret_cast<const __m128i*>(p);
        const __m256i lo = _mm256_cvtepi16_epi32(_mm_loadu_si128(codes));
        const __m256i hi = _mm256_cvtepi16_epi32(_mm_loadu_si128(codes + 1));
        even = {low_byte(lo), low_byte(hi)};
        odd = {_mm256_cvtepi32_ps(_mm256_srai_epi32(lo, 8)), _mm256_cvtepi32_ps(_mm256_srai_epi32(hi, 8))};
    }
    SLUICE_SIMD __m256 low_byte(__m256i two) {
        return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(two, 24), 24));
    }
    SLUICE_SIMD __m256i halves(__m256i high) {  // codes in high bytes -> float16 of value * 2^-8
        const __m256i sign = _mm256_and_si256(high, _mm256_set1_epi16(static_cast<short>(0x8000)));
        return _mm256_or_si256(sign, _mm256_and_si256(_mm256_srli_epi16(high, 1), _mm256_set1_epi16(0x3f80)));
    }
    SLUICE_SIMD Avx2::F32 widen(__m256i half) {
        const __m256 scale = _mm256_set1_ps(256.0F);
        return {_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), scale),
                _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), scale)};
    }
};
using Avx2Dot = FloatDot<Avx2, Avx2Decode, 5, 1>;
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
struct Avx512Decode {
    SLUICE_SIMD void pair_bf16(const std::byte* p, __m512& even, __m512& odd) {
        const __m512i pair = _mm512_loadu_si512(p);
        even = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
        odd = _mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
    }
    SLUICE_SIMD void pair_fp8(const std::byte* p, __m512& even, __m512& odd) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m512 scale = _mm512_set1_ps(256.0F);
        even = _mm512_mul_ps(_mm512_cvtph_ps(Avx2Decode::halves(_mm256_slli_epi16(codes, 8))), scale);
        odd = _mm512_mul_ps(_mm512_cvtph_ps(Avx2Decode::halves(codes)), scale);
    }
    SLUICE_SIMD void pair_int8(const std::byte* p, __m512& even, __m512& odd) {
        const __m512i two = _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        even = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(two, 24), 24));
        odd = _mm512_cvtepi32_ps(_mm512_srai_epi32(two, 8));
    }
};
using Avx512Dot = FloatDot<Avx512, Avx512Decode, 24, 2>;
#endif

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)
// One vdpbf16ps a pair. It takes subnormal inputs for zero, so e4m3 subnormals are decoded to bfloat16
// normals.
struct Avx512Bf16Dot : Avx512Bf16 {
    using X = std::uint16_t;
    using Pair = __m512i;
    static constexpr int kAccumulators = 24;
    static constexpr int kBulkPanels = 4;
    static constexpr Format kDecoded = Format::Bf16;

    template <Format format>
    SLUICE_SIMD Pair load_pair(const std::byte* p) {
        if constexpr (format == Format::Bf16)
            return _mm512_loadu_si512(p);
        else if constexpr (format == Format::Fp8)
            return decode(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        else
            return pair_int8(p);
    }
    SLUICE_SIMD Pair load_x(const X* x) {
        int two;
        __builtin_memcpy(&two, x, 4);
        return _mm512_set1_epi32(two);
    }
    SLUICE_SIMD F32 dot(F32 sum, Pair pair, Pair x) { return _mm512_dpbf16_ps(sum, bits(x), bits(pair)); }
    SLUICE_SIMD void store_pair(std::byte* p, Pair pair) { _mm512_storeu_si512(p, pair); }
    // The product takes subnormal inputs for zero, so the instruction that rounds them to zero will do.
    SLUICE_SIMD void store_x(X* p, F32 v, int n, bool /*exact*/) {
        const auto some = static_cast<__mmask16>((1U << n) - 1U);
        _mm256_mask_storeu_epi16(p, some, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
    }

private:
    SLUICE_SIMD __m512bh bits(__m512i v) { return reinterpret_cast<__m512bh>(v); }
    // A whole number up to 128 in size has its float32's low half zero: the upper half is the bfloat16.
    SLUICE_SIMD __m512i pair_int8(const std::byte* p) {
        __m512 even, odd;
        Avx512Decode::pair_int8(p, even, odd);
        return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(even), 16), _mm512_castps_si512(odd));
    }
    // A normal code's bits shifted by 4 are the bfloat16 but for the bias (127 - 7 = 120, at bit 7); for the
    // eight subnormal magnitudes a table holds what must be added instead.
    SLUICE_SIMD __m512i decode(__m256i codes) {
        const __m512i wide = _mm512_cvtepi8_epi16(codes);
        const __m512i fields =
            _mm512_and_si512(_mm512_slli_epi16(wide, 4), _mm512_set1_epi16(static_cast<short>(0x87f0)));
        const __mmask32 subnormal = _mm512_testn_epi16_mask(wide, _mm512_set1_epi16(0x78));
        const __m512i bias = _mm512_mask_permutexvar_epi16(_mm512_set1_epi16(120 << 7), subnormal, wide,
                                                           _mm512_castsi128_si512(subnormal_bias()));
        return _mm512_add_epi16(fields, bias);
    }
    // bfloat16(m * 2^-9) - (m << 4) for m of 0..7.
    SLUICE_SIMD __m128i subnormal_bias() {
        return _mm_setr_epi16(0, 0x3b00 - 0x10, 0x3b80 - 0x20, 0x3bc0 - 0x30, 0x3c00 - 0x40, 0x3c20 - 0x50,
                              0x3c40 - 0x60, 0x3c60 - 0x70);
    }
};
#endif

}  // namespace sluice::kernels::cpu
