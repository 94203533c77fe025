// The activations of a gate.
#pragma once

#include "core/features.hpp"
#include "kernels/cuda/math.cuh"

namespace sluice::kernels::cuda {

// Tanh-GELU is x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3), because (1 + tanh u) / 2 =
// sigmoid(2u).
template <Activation Kind>
__device__ __forceinline__ float activate(float x) {
    if constexpr (Kind == Activation::Silu)
        return x * sigmoid(x);
    else
        return x * sigmoid(x * __fmaf_rn(x * x, 0.07135481627F, 1.595769122F));
}

}  // namespace sluice::kernels::cuda
