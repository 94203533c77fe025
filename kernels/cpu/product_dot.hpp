// How each instruction set adds one k pair of a panel to sixteen accumulators.
//
// A Dot gives: X (element of a converted row), Pair (a panel's k pair in registers), load_pairs<Format,
// count>(p, pairs), with a count of two where kDecodesTwo<Format>, load_x(x), dot(sum, pair, x) = sum + even
// + odd element, in that order, two fused steps (or the single instruction's own fixed order); store_pair (in
// format kDecoded, for reuse), store_x; kAccumulators, the largest register tile; where there are many rows,
// its width kBulkPanels, and kBulkPairs, as many as stay near by while all rows are multiplied.
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
    static constexpr int kBulkPairs = 128;
    static constexpr Format kDecoded = Format::F32;

    template <Format>
    static constexpr bool kDecodesTwo = false;

    template <Format format, int count>
    SLUICE_SIMD void load_pairs(const std::byte* p, Pair* pairs) {
        for (int i = 0; i < count; ++i) pairs[i] = load_pair<format>(p + i * pair_bytes(format));
    }
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
// The upper and lower bytes of the bfloat16 values of codes 0 to 127.
struct Bf16Bytes {
    alignas(64) std::uint8_t high[128], low[128];
};

// The bfloat16 of mantissa * 2^power, for mantissas of up to eight bits.
constexpr int bf16_of(int mantissa, int power) {
    if (mantissa == 0) return 0;
    for (; mantissa < 128; mantissa *= 2) --power;
    return ((power + 7 + 127) << 7) + mantissa - 128;
}

// Of e4m3 (3 bits of mantissa, exponents from -6, subnormals) or int8.
constexpr Bf16Bytes bf16_bytes(Format format) {
    Bf16Bytes bytes{};
    for (int code = 0; code < 128; ++code) {
        const int exponent = code >> 3, fraction = code & 7;
        const int bits = format == Format::Int8 ? bf16_of(code, 0)
                         : exponent == 0        ? bf16_of(fraction, -9)
                                                : bf16_of(fraction + 8, exponent - 10);
        bytes.high[code] = static_cast<std::uint8_t>(bits >> 8);
        bytes.low[code] = static_cast<std::uint8_t>(bits & 0xff);
    }
    return bytes;
}

// One vdpbf16ps a pair. It takes subnormal inputs for zero, so e4m3 subnormals are decoded to bfloat16
// normals.
struct Avx512Bf16Dot : Avx512Bf16 {
    using X = std::uint16_t;
    using Pair = __m512i;
    static constexpr int kAccumulators = 24;
    static constexpr int kBulkPanels = 4;
    static constexpr int kBulkPairs = 256;
    static constexpr Format kDecoded = Format::Bf16;

    template <Format format>
    static constexpr bool kDecodesTwo = format == Format::Fp8 || format == Format::Int8;

    template <Format format, int count>
    SLUICE_SIMD void load_pairs(const std::byte* p, Pair* pairs) {
        if constexpr (format == Format::Bf16) {
            static_assert(count == 1);
            pairs[0] = _mm512_loadu_si512(p);
        } else {
            static_assert(count == 2);
            decode_two<format>(_mm512_loadu_si512(p), pairs[0], pairs[1]);
        }
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
    // A line of two pairs of codes: the bytes of their bfloat16s come from tables, by the codes' low seven
    // bits, and are interleaved; that goes on within 128 bits, so the codes are put in such an order first.
    template <Format format>
    SLUICE_SIMD void decode_two(__m512i codes, __m512i& first, __m512i& second) {
        static constexpr Bf16Bytes kBytes = bf16_bytes(format);
        const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
        codes = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
        const __m512i size = format == Format::Fp8 ? codes : _mm512_abs_epi8(codes);
        const __m512i low = look_up(kBytes.low, size);
        __m512i high =
            _mm512_ternarylogic_epi64(look_up(kBytes.high, size), codes, sign, 0xf8);  // a | (b & c)
        if constexpr (format == Format::Int8)  // -128, whose size has eight bits, is 0xc300
            high = _mm512_mask_mov_epi8(high, _mm512_cmpeq_epi8_mask(codes, sign),
                                        _mm512_set1_epi8(static_cast<char>(0xc3)));
        first = _mm512_unpacklo_epi8(low, high);
        second = _mm512_unpackhi_epi8(low, high);
    }
    SLUICE_SIMD __m512i look_up(const std::uint8_t (&table)[128],
                                __m512i index) {  // bits 0 to 6 of each byte
        return _mm512_permutex2var_epi8(_mm512_load_si512(table), index, _mm512_load_si512(table + 64));
    }
    SLUICE_SIMD __m512bh bits(__m512i v) { return reinterpret_cast<__m512bh>(v); }
};
#endif

}  // namespace sluice::kernels::cpu
