// From global memory into a block's shared memory: pages of keys and values as bfloat16, queries rounded to
// it, masks as bits.
#pragma once

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/quad.cuh"

namespace sluice::kernels::cuda {

// body(row, eighth) for this thread's share of `rows` rows: it takes the eight elements number `eighth` of
// each 64 of the row. So eight neighbouring threads take 128 bytes of bfloat16, and only the first of a
// thread's places in shared memory needs computing.
template <int Threads, class Body>
__device__ __forceinline__ void each_eighth(int rows, Body body) {
    for (int row = static_cast<int>(threadIdx.x) / 8; row < rows; row += Threads / 8)
        body(row, static_cast<int>(threadIdx.x) % 8);
}

// A page's rows of `width` elements as rows of `pitch`: zeros from row `count` on and from the end of a row.
// What is copied here is in place once the thread has waited for its copies.
template <int Threads>
__device__ __forceinline__ void load_rows(const bf16* from, std::int64_t stride, int width, int count,
                                          bool whole, bf16* to, int pitch) {
    each_eighth<Threads>(kPageTokens, [&](int row, int eighth) {
        bf16* place = to + swizzled(row, eighth, pitch);
        const bf16* source = from + (row < count ? row * stride + 8 * eighth : 0);
        const int end = row < count ? width - 8 * eighth : 0;
#pragma unroll 3
        for (int at = 0; at < pitch; at += 64) {
            const int left = max(0, min(8, end - at));
            if (whole) {
                copy_async(place + at, left > 0 ? source + at : from, 2 * left);
            } else {
                for (int i = 0; i < 8; ++i) place[at + i] = i < left ? source[at + i] : bf16{0};
            }
        }
    });
}

// The same of codes, from global or shared memory, but nothing is waited for. `whole`: eight can be read at
// once.
template <int Threads>
__device__ __forceinline__ void load_rows(const fp8* from, std::int64_t stride, int width, int count,
                                          bool whole, bf16* to, int pitch) {
    each_eighth<Threads>(kPageTokens, [&](int row, int eighth) {
        bf16* place = to + swizzled(row, eighth, pitch);
        const fp8* source = from + (row < count ? row * stride + 8 * eighth : 0);
        const int end = row < count ? width - 8 * eighth : 0;
#pragma unroll 3
        for (int at = 0; at < pitch; at += 64) {
            uint2 codes = make_uint2(0, 0);
            if (whole && end - at >= 8) {
                codes = *reinterpret_cast<const uint2*>(source + at);
            } else {
                for (int i = 0; i < min(8, end - at); ++i)
                    (i < 4 ? codes.x : codes.y) |= std::uint32_t{source[at + i]} << 8 * (i % 4);
            }
            *reinterpret_cast<uint4*>(place + at) = eight_e4m3_to_bf16(codes);
        }
    });
}

// A page's rows of codes as they are, from aligned rows; zeros as above.
template <int Threads>
__device__ __forceinline__ void copy_codes(const fp8* from, std::int64_t stride, int width, int count,
                                           fp8* to, int pitch) {
    each_eighth<Threads>(kPageTokens, [&](int row, int eighth) {
        const fp8* source = from + (row < count ? row * stride : 0);
#pragma unroll 2
        for (int at = 16 * eighth; at < pitch; at += 128) {
            const int left = row < count ? max(0, min(16, width - at)) : 0;
            copy_async(to + row * pitch + at, left > 0 ? source + at : from, left);
        }
    });
}

// The tile's queries; zeros for pairs that are none.
template <class Tile>
__device__ __forceinline__ void load_queries(const AttentionCall& call, const int* place, bf16* to) {
    const std::int64_t width = call.args.key_dim;
    each_eighth<Tile::kThreads>(Tile::kPairs, [&](int pair, int eighth) {
        const auto quad = [&](std::int64_t i) {
            if (place[pair] < 0 || i >= width) return Quad{};
            const float* row = call.args.q + place[pair] * width;
            return call.whole_queries ? load_quad<true>(row, i, width) : load_quad<false>(row, i, width);
        };
#pragma unroll 3
        for (int at = 0; at < call.key_pitch; at += 64) {
            const Quad a = quad(at + 8 * eighth), b = quad(at + 8 * eighth + 4);
            const uint4 bits = make_uint4(pack_bf16(a.v[0], a.v[1]), pack_bf16(a.v[2], a.v[3]),
                                          pack_bf16(b.v[0], b.v[1]), pack_bf16(b.v[2], b.v[3]));
            *reinterpret_cast<uint4*>(to + swizzled(pair, eighth, call.key_pitch) + at) = bits;
        }
    });
}

// Whether `position` is among the ascending `masked`.
__device__ __forceinline__ bool is_masked(const std::int32_t* masked, int count, int position) {
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (masked[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && masked[low] == position;
}

}  // namespace sluice::kernels::cuda
