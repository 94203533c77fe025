// The best tokens of a slice, in the order of better(): collected by a block from the chunks that may hold
// some, and sorted. The order in which they are collected leaves no trace, for no two keys are equal.
#pragma once

#include "kernels/cuda/vocab_slice.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

// A greater key is a better token; 0 is none. NaN counts as -infinity, and -0 as +0.
__device__ __forceinline__ unsigned ordered_logit(float logit) {
    const unsigned bits = __float_as_uint(logit == logit ? logit + 0.0F : kLowest);
    return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ __forceinline__ std::uint64_t key_of(float logit, int i) {
    return static_cast<std::uint64_t>(ordered_logit(logit)) << 32 | ~static_cast<unsigned>(i);
}
__device__ __forceinline__ int place_of(std::uint64_t key) {
    return static_cast<int>(~static_cast<unsigned>(key));
}

// What a block shares.
struct BestMemory {
    const VocabChunk* chunks;
    const unsigned* seen;
    int* listed;          // [chunks] that may hold some of the best
    std::uint64_t* keys;  // [capacity], a power of two
    int capacity;
    int* listed_count;
    int* held;                  // keys
    int (*counts)[kMostWarps];  // two of them, by turns
};

// Descending; all threads of the block, which have waited for the keys.
__device__ __forceinline__ void sort_keys(std::uint64_t* keys, int held) {
    int count = 1;
    while (count < held) count *= 2;
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    for (int i = held + thread; i < count; i += threads) keys[i] = 0;
    __syncthreads();
    for (int size = 2; size <= count; size *= 2) {
        for (int apart = size / 2; apart > 0; apart /= 2) {
            for (int t = thread; t < count / 2; t += threads) {
                const int left = 2 * t - (t & (apart - 1)), right = left + apart;
                const std::uint64_t a = keys[left], b = keys[right];
                if ((a < b) != ((left & size) == 0)) continue;
                keys[left] = b;
                keys[right] = a;
            }
            __syncthreads();
        }
    }
}

template <bool Plain>
__device__ __forceinline__ unsigned ordered_max(const VocabChunk& chunk) {
    return ordered_logit(Plain ? chunk.plain_max : chunk.max);
}

// Of the chunks' maxima, the `most`-th greatest, or a little less: its last bits hardly cut anything off.
template <bool Plain>
__device__ __forceinline__ unsigned nth_greatest(const BestMemory& memory, int chunks, int most) {
    constexpr int kLastBit = 12;
    unsigned floor = 0;
    for (int bit = 31; bit >= kLastBit; --bit) {
        const unsigned wanted = floor | 1U << bit;
        int own = 0;
        for (int c = static_cast<int>(threadIdx.x); c < chunks; c += static_cast<int>(blockDim.x))
            own += ordered_max<Plain>(memory.chunks[c]) >= wanted ? 1 : 0;
        if (block_sum(own, memory.counts[bit % 2]) >= most) floor = wanted;
    }
    return floor;
}

// Holds what is not below the floor in one chunk. A warp.
template <bool Plain>
__device__ __forceinline__ void collect(const VocabSlice& slice, const BestMemory& memory, int chunk,
                                        std::uint64_t floor) {
    const int begin = chunk * kVocabChunk + 4 * lane_of_thread();
    Quad logits = load_logits(slice, begin);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        if (begin + j >= slice.count) continue;
        if constexpr (!Plain) {
            const bool is_seen =
                slice.is_penalized && (memory.seen[begin / 32] >> (begin % 32 + j) & 1U) != 0;
            if (is_seen) logits.v[j] = penalized(logits.v[j], slice.penalty);
        }
        const std::uint64_t key = key_of(logits.v[j], begin + j);
        if (key >= floor) memory.keys[atomicAdd(memory.held, 1)] = key;
    }
}

// Leaves the keys of the `most` best tokens, in order, in memory.keys. `most` chunks have a logit as good as
// the most-th greatest of the chunks' maxima, so what is worse is passed over. When the room may not do for
// the next chunks, what is held is cut to the best, and the least of them is the new floor.
template <bool Plain>
__device__ __forceinline__ void find_best(const VocabSlice& slice, const BestMemory& memory, int most,
                                          float max) {
    const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int warps = threads / kWarp;
    const unsigned least = most == 1              ? ordered_logit(max)
                           : most <= slice.chunks ? nth_greatest<Plain>(memory, slice.chunks, most)
                                                  : 0;
    if (thread == 0) *memory.listed_count = *memory.held = 0;
    __syncthreads();
    for (int c = thread; c < slice.chunks; c += threads) {
        if (ordered_max<Plain>(memory.chunks[c]) >= least)
            memory.listed[atomicAdd(memory.listed_count, 1)] = c;
    }
    __syncthreads();
    const int listed = *memory.listed_count;
    std::uint64_t floor = static_cast<std::uint64_t>(least) << 32;
    for (int first = 0; first < listed; first += warps) {
        const int at = first + warp_of_thread();
        if (at < listed) collect<Plain>(slice, memory, memory.listed[at], floor);
        __syncthreads();
        const int held = *memory.held;
        __syncthreads();
        if (held + warps * kVocabChunk <= memory.capacity) continue;
        sort_keys(memory.keys, held);
        floor = memory.keys[most - 1];
        if (thread == 0) *memory.held = most;
        __syncthreads();
    }
    sort_keys(memory.keys, *memory.held);
}

// Plain: by raw logits. All threads of the block.
template <bool Plain>
__device__ __forceinline__ void list_best(const VocabSlice& slice, const BestMemory& memory, int wanted,
                                          int room, float max, VocabCandidate* out) {
    int most = wanted < room ? wanted : room;
    if (most > slice.count) most = slice.count;
    if (most > 0) find_best<Plain>(slice, memory, most, max);
    for (int i = static_cast<int>(threadIdx.x); i < room; i += static_cast<int>(blockDim.x)) {
        VocabCandidate token{-1, 0, 0};
        if (i < most) {
            const int at = place_of(memory.keys[i]);
            const float raw = slice.raw[at];
            token = {slice.first_id + at, Plain ? raw : sampled_logit(slice, memory.seen, at), raw};
        }
        out[i] = token;
    }
    __syncthreads();  // before the memory is used again
}

}  // namespace sluice::kernels::cuda
