// Four neighbouring elements, the 16 bytes that a thread reads or writes at once. Which elements make a quad
// does not depend on where a row begins, so that no result does either.
#pragma once

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/overlap.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

struct Quad {
    float v[4];
};

// Whether rows of `width` elements, `stride` apart, can be taken in whole quads.
template <class T>
bool in_quads(const T* rows, std::int64_t stride, std::int64_t width) {
    return reinterpret_cast<std::uintptr_t>(rows) % (4 * sizeof(T)) == 0 && stride % 4 == 0 && width % 4 == 0;
}

template <class T>
__device__ __forceinline__ void expect_ready([[maybe_unused]] const T* p) {
    expect_awaited();
#ifndef __CUDACC__
    emulation::expect_aligned(p, 4 * sizeof(T));
#endif
}

// Elements [i, i + 4) of a row of `width`; zeros beyond its end. `Whole`: in_quads() holds.
template <bool Whole>
__device__ __forceinline__ Quad load_quad(const float* row, std::int64_t i, std::int64_t width) {
    if constexpr (Whole) {
        expect_ready(row + i);
        const float4 quad = *reinterpret_cast<const float4*>(row + i);
        return {{quad.x, quad.y, quad.z, quad.w}};
    } else {
        Quad quad;
#pragma unroll
        for (int j = 0; j < 4; ++j) quad.v[j] = i + j < width ? row[i + j] : 0.0F;
        return quad;
    }
}

template <bool Whole>
__device__ __forceinline__ Quad load_quad(const bf16* row, std::int64_t i, std::int64_t width) {
    if constexpr (Whole) {
        expect_ready(row + i);
        const uint2 pairs = *reinterpret_cast<const uint2*>(row + i);
        return {{low_bf16(pairs.x), high_bf16(pairs.x), low_bf16(pairs.y), high_bf16(pairs.y)}};
    } else {
        Quad quad;
#pragma unroll
        for (int j = 0; j < 4; ++j) quad.v[j] = i + j < width ? to_float(row[i + j]) : 0.0F;
        return quad;
    }
}

template <bool Whole>
__device__ __forceinline__ void store_quad(float* row, std::int64_t i, std::int64_t width, const Quad& quad) {
    if constexpr (Whole) {
        expect_ready(row + i);
        *reinterpret_cast<float4*>(row + i) = make_float4(quad.v[0], quad.v[1], quad.v[2], quad.v[3]);
    } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            if (i + j < width) row[i + j] = quad.v[j];
        }
    }
}

template <bool Whole>
__device__ __forceinline__ void store_quad(bf16* row, std::int64_t i, std::int64_t width, const Quad& quad) {
    const std::uint32_t first = pack_bf16(quad.v[0], quad.v[1]), second = pack_bf16(quad.v[2], quad.v[3]);
    if constexpr (Whole) {
        expect_ready(row + i);
        *reinterpret_cast<uint2*>(row + i) = make_uint2(first, second);
    } else {
        const bf16 each[] = {static_cast<bf16>(first), static_cast<bf16>(first >> 16),
                             static_cast<bf16>(second), static_cast<bf16>(second >> 16)};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            if (i + j < width) row[i + j] = each[j];
        }
    }
}

template <bool Whole>
__device__ __forceinline__ void store_quad(fp8* row, std::int64_t i, std::int64_t width, const Quad& quad) {
    const std::uint32_t codes =
        pack_e4m3(quad.v[0], quad.v[1]) | static_cast<std::uint32_t>(pack_e4m3(quad.v[2], quad.v[3])) << 16;
    if constexpr (Whole) {
        expect_ready(row + i);
        *reinterpret_cast<std::uint32_t*>(row + i) = codes;
    } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            if (i + j < width) row[i + j] = static_cast<fp8>(codes >> 8 * j);
        }
    }
}

}  // namespace sluice::kernels::cuda
