// One slice of a row of logits, as the vocabulary's kernels read it: in chunks of a quad a lane, each with a
// record of its maxima and masses that is made once.
#pragma once

#include "kernels/args.hpp"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vocab_chunk.hpp"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

static_assert(kVocabChunk == 4 * kWarp);
inline constexpr int kWordsOfChunk = kVocabChunk / 32;

struct VocabSlice {
    const float* raw;  // `count` logits
    std::int32_t first_id;
    int count, chunks;
    bool whole;  // quads are aligned
    bool is_penalized;
    float penalty;
    float rate;     // of base 2: 2^((l - max) * rate) is a token's mass
    bool is_plain;  // the masses are those of the raw logits
};

inline constexpr float kLog2E = 1.442695041F;
inline constexpr float kLowest = -__builtin_huge_valf();

__device__ __forceinline__ VocabSlice slice_of(const VocabArgs& args, const VocabRow& row, int s) {
    const std::int32_t* first = args.first_id.data();
    VocabSlice slice;
    slice.first_id = first[s];
    slice.count = first[s + 1] - first[s];
    slice.chunks = (slice.count + kVocabChunk - 1) / kVocabChunk;
    slice.raw = args.logits + row.row * args.stride + (first[s] - first[0]);
    slice.whole = reinterpret_cast<std::uintptr_t>(slice.raw) % sizeof(float4) == 0;
    slice.penalty = row.repetition_penalty;
    slice.is_penalized = row.repetition_penalty != 1 && !row.seen.empty();
    // Finite, for the greatest logit's distance from itself is 0.
    slice.rate = fminf(1 / row.temperature * kLog2E, std::numeric_limits<float>::max());
    slice.is_plain = !slice.is_penalized && row.temperature == 1;
    return slice;
}

// -infinity beyond the slice's end.
__device__ __forceinline__ Quad load_logits(const VocabSlice& slice, int i) {
    if (slice.whole && i + 4 <= slice.count) return load_quad<true>(slice.raw, i, slice.count);
    Quad quad;
#pragma unroll
    for (int j = 0; j < 4; ++j) quad.v[j] = i + j < slice.count ? slice.raw[i + j] : kLowest;
    return quad;
}

// A bit for each of the slice's ids [begin, begin + 32 words) that the row has seen, where it is penalised.
// All threads of the block; whoever reads the bits waits for them first.
__device__ __forceinline__ void mark_seen(const VocabRow& row, const VocabSlice& slice, int begin, int words,
                                          unsigned* seen) {
    if (!slice.is_penalized) return;
    for (int i = static_cast<int>(threadIdx.x); i < words; i += static_cast<int>(blockDim.x)) seen[i] = 0;
    __syncthreads();
    const std::int32_t* ids = row.seen.data();
    const auto count = static_cast<int>(row.seen.size());
    const std::int32_t first = slice.first_id + begin;
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (ids[middle] < first)
            low = middle + 1;
        else
            high = middle;
    }
    for (int i = low + static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
        const std::int32_t at = ids[i] - first;
        if (at >= 32 * words) break;
        atomicOr(&seen[at / 32], 1U << at % 32);
    }
}

// The logit of id first_id + i; `seen` has the bits of the whole slice.
__device__ __forceinline__ float sampled_logit(const VocabSlice& slice, const unsigned* seen, int i) {
    const float raw = slice.raw[i];
    return slice.is_penalized && (seen[i / 32] >> i % 32 & 1U) != 0 ? penalized(raw, slice.penalty) : raw;
}

// NaN for NaN and +infinity, 0 for -infinity.
__device__ __forceinline__ float mass(float logit, float max, float rate) {
    const float zero = max == kLowest ? 0.0F : max;  // a slice or chunk of nothing else weighs nothing
    return exp2f((logit - zero) * rate);
}

}  // namespace sluice::kernels::cuda
