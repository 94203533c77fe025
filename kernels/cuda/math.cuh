// Elementary functions with the operations of kernels/cpu/math.hpp, one by one: the same bits as there, on
// any GPU.
#pragma once

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {

// e^x for x <= 88, within 2 ulp; 0 below -87.33 and for -infinity; NaN for NaN.
__device__ __forceinline__ float exponential(float x) {
    constexpr float kLeast = -87.33F;
    const float clamped = x < kLeast ? kLeast : x;
    const float n = rintf(clamped * 1.442695041F);
    // ln 2 in two parts; n times the first is exact.
    float r = __fmaf_rn(n, -0.693359375F, clamped);
    r = __fmaf_rn(n, 2.12194440e-4F, r);
    float q = 1.392625039e-3F;
    q = __fmaf_rn(q, r, 8.363232948e-3F);
    q = __fmaf_rn(q, r, 4.166655242e-2F);
    q = __fmaf_rn(q, r, 1.666657627e-1F);
    q = __fmaf_rn(q, r, 0.5F);
    const float power = __fmaf_rn(r * r, q, r) + 1.0F;
    // The low bits of n + 1.5 * 2^23 are n, whatever its sign: the exponent of 2^n.
    const float scale = __uint_as_float((__float_as_uint(n + 0x1.8p23F) << 23) + 0x3f800000U);
    return x < kLeast ? 0.0F : power * scale;
}

// 1 / (1 + e^-x), within 4 ulp where it is not below 2^-126.
__device__ __forceinline__ float sigmoid(float x) {
    const float e = exponential(-fabsf(x));
    return (x < 0 ? e : 1.0F) / (1.0F + e);
}

}  // namespace sluice::kernels::cuda
