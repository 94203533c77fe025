// bfloat16 and e4m3 on the device: the conversions of core/dtype.hpp, but that every NaN becomes one.
#pragma once

#include "core/dtype.hpp"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

__device__ __forceinline__ float low_bf16(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000U); }

// Two values, the first in the lower half; rounded to nearest even.
__device__ __forceinline__ std::uint32_t pack_bf16(float first, float second) {
#ifdef __CUDACC__
    std::uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
#else
    return to_bf16(first) | static_cast<std::uint32_t>(to_bf16(second)) << 16;
#endif
}

// Exact for every code.
__device__ __forceinline__ float e4m3_to_float(fp8 code) {
    const std::uint32_t sign = (code & 0x80U) << 24, rest = code & 0x7fU;
    if (rest == 0x7fU) return __uint_as_float(0x7fffffffU);
    // As float32 bits the code's exponent is 120 too small; multiplying repairs it, for subnormals too.
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 20) * 0x1p120F));
}

// Two values as e4m3 codes, the first in the lower byte; rounded to nearest even, saturating at +-448.
__device__ __forceinline__ std::uint16_t pack_e4m3(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    std::uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(second), "f"(first));
    return pair;
#else
    const auto code = [](float value) -> std::uint32_t {
        const std::uint32_t bits = __float_as_uint(value), sign = bits >> 24 & 0x80U;
        const float size = __uint_as_float(bits & 0x7fffffffU);
        if (size != size) return sign | 0x7fU;
        if (size >= 448) return sign | 0x7eU;
        // Below the least normal number a code counts 2^-9; above, three bits of mantissa are kept.
        if (size < 0x1p-6F) return sign | static_cast<std::uint32_t>(rintf(size * 512));
        const std::uint32_t magnitude = bits & 0x7fffffffU;
        const std::uint32_t rounded = magnitude + 0x7ffffU + (magnitude >> 20 & 1U);
        return sign | ((rounded >> 20) - (120U << 3));
    };
    return static_cast<std::uint16_t>(code(first) | code(second) << 8);
#endif
}

// Four codes, the first in the lowest byte, as two pairs of bfloat16; exact. e4m3 must hold no NaN.
__device__ __forceinline__ void e4m3_to_bf16(std::uint32_t codes, std::uint32_t (&pairs)[2]) {
#ifdef __CUDACC__
    // Shifted into place, a code's exponent is 120 too small; multiplying repairs it, for subnormals too.
    const std::uint32_t halves[2] = {__byte_perm(codes, 0, 0x1404), __byte_perm(codes, 0, 0x3424)};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const std::uint32_t small = (halves[i] & 0x80008000U) | (halves[i] >> 4 & 0x07f007f0U);
        asm("fma.rn.bf16x2 %0, %1, %2, %3;"
            : "=r"(pairs[i])
            : "r"(small), "r"(0x7b807b80U), "r"(0x80008000U));
    }
#else
    for (int i = 0; i < 2; ++i)
        pairs[i] = pack_bf16(fp8_to_float(static_cast<fp8>(codes >> 16 * i)),
                             fp8_to_float(static_cast<fp8>(codes >> (16 * i + 8))));
#endif
}

// Eight codes as bfloat16, NaN among them or not; exact.
__device__ __forceinline__ uint4 eight_e4m3_to_bf16(uint2 codes) {
    std::uint32_t pairs[2][2];
    e4m3_to_bf16(codes.x, pairs[0]);
    e4m3_to_bf16(codes.y, pairs[1]);
    const auto nans = [](std::uint32_t four) { return ((four & 0x7f7f7f7fU) + 0x01010101U) & 0x80808080U; };
    if ((nans(codes.x) | nans(codes.y)) != 0) {  // rare: each for itself
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const std::uint32_t two = (i < 2 ? codes.x : codes.y) >> 16 * (i % 2);
            pairs[i / 2][i % 2] = pack_bf16(e4m3_to_float(static_cast<fp8>(two & 0xffU)),
                                            e4m3_to_float(static_cast<fp8>(two >> 8 & 0xffU)));
        }
    }
    return make_uint4(pairs[0][0], pairs[0][1], pairs[1][0], pairs[1][1]);
}

__device__ __forceinline__ void int8_to_bf16(std::uint32_t codes, std::uint32_t (&pairs)[2]) {
#ifdef __CUDACC__
    // 128 plus the lower seven bits, less 128 or, where the sign is set, 256: each a bfloat16 by its bits.
    const std::uint32_t halves[2] = {__byte_perm(codes, 0, 0x4140), __byte_perm(codes, 0, 0x4342)};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const std::uint32_t raised = (halves[i] & 0x007f007fU) | 0x43004300U;
        const std::uint32_t excess = (halves[i] & 0x00800080U) | 0x43004300U;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(pairs[i]) : "r"(excess), "r"(0xbf80bf80U), "r"(raised));
    }
#else
    for (int i = 0; i < 2; ++i)
        pairs[i] = pack_bf16(static_cast<std::int8_t>(codes >> 16 * i),
                             static_cast<std::int8_t>(codes >> (16 * i + 8)));
#endif
}

}  // namespace sluice::kernels::cuda
