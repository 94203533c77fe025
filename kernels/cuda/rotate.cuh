// RoPE of four neighbouring pairs of a head, as a thread takes them: two quads of x, and two of angles.
// Interleaved pairs lie in two neighbouring quads, others half a head apart.
#pragma once

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

// A head's pairs, in fours.
constexpr std::int64_t fours_of(std::int64_t dim) { return quads_of(dim / 2); }

// Whether heads that begin at whole quads can be taken in whole quads, and their angles.
inline bool heads_in_quads(std::int64_t dim, const float* table) {
    return dim % 8 == 0 && in_quads(table, dim, dim);
}

// Pairs [first, first + 4) of a head of `dim` elements, as far as it has them; `angles` are those of all its
// pairs, `out` may be x. `Whole`: x and out begin at whole quads, and heads_in_quads() holds.
template <bool Interleaved, bool Whole, class T>
__device__ __forceinline__ void rotate_four(const float* x, const float* angles, std::int64_t first,
                                            std::int64_t dim, T* out) {
    const std::int64_t pairs = dim / 2;
    // (cos, sin) of pairs first and first + 1, then of the next two.
    const Quad near = load_quad<Whole>(angles, 2 * first, dim);
    const Quad far = load_quad<Whole>(angles, 2 * first + 4, dim);
    const auto rotate = [](float cos, float sin, float& a, float& b) {
        const float turned = a * cos - b * sin;
        b = a * sin + b * cos;
        a = turned;
    };
    if constexpr (Interleaved) {
        Quad p = load_quad<Whole>(x, 2 * first, dim), q = load_quad<Whole>(x, 2 * first + 4, dim);
        rotate(near.v[0], near.v[1], p.v[0], p.v[1]);
        rotate(near.v[2], near.v[3], p.v[2], p.v[3]);
        rotate(far.v[0], far.v[1], q.v[0], q.v[1]);
        rotate(far.v[2], far.v[3], q.v[2], q.v[3]);
        store_quad<Whole>(out, 2 * first, dim, p);
        store_quad<Whole>(out, 2 * first + 4, dim, q);
    } else {
        Quad a = load_quad<Whole>(x, first, pairs), b = load_quad<Whole>(x + pairs, first, pairs);
        rotate(near.v[0], near.v[1], a.v[0], b.v[0]);
        rotate(near.v[2], near.v[3], a.v[1], b.v[1]);
        rotate(far.v[0], far.v[1], a.v[2], b.v[2]);
        rotate(far.v[2], far.v[3], a.v[3], b.v[3]);
        store_quad<Whole>(out, first, pairs, a);
        store_quad<Whole>(out + pairs, first, pairs, b);
    }
}

}  // namespace sluice::kernels::cuda
