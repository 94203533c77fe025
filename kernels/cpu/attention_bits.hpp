// Elements of pages as registers of bfloat16, for the sets that multiply these.
#pragma once

#include "kernels/cpu/simd.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

using Bits = __m512i;  // thirty-two bfloat16

// The elements that the mask lets through, zeros for others.
SLUICE_SIMD Bits load_bits(__mmask32 mask, const std::uint16_t* p) {
    return _mm512_maskz_loadu_epi16(mask, p);
}
SLUICE_SIMD Bits load_bits(__mmask32 mask, const std::uint8_t* p) {
    const Bits codes = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, p));  // the sign in all upper bits
    // A bfloat16's exponent is 120 more. Of subnormals, 0 to 7 times 2^-9, the code is the place in a table.
    const Bits size = _mm512_and_si512(_mm512_slli_epi16(codes, 4), _mm512_set1_epi16(0x07f0));
    const Bits small =
        _mm512_setr_epi32(0x3b000000, 0x3bc03b80, 0x3c203c00, 0x3c603c40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    Bits value = _mm512_add_epi16(size, _mm512_set1_epi16(120 << 7));
    value = _mm512_mask_permutexvar_epi16(value, _mm512_testn_epi16_mask(codes, _mm512_set1_epi16(0x78)),
                                          codes, small);
    value = _mm512_mask_mov_epi16(value, _mm512_cmpeq_epi16_mask(size, _mm512_set1_epi16(0x07f0)),
                                  _mm512_set1_epi16(0x7fc0));
    const Bits sign = _mm512_set1_epi16(static_cast<short>(0x8000));
    return _mm512_ternarylogic_epi64(value, codes, sign, 0xf8);  // a | (b & c)
}

}  // namespace sluice::kernels::cpu
