// What a block of the attention kernel works on: a tile of (row, head) pairs that share a sequence and a kv
// head, pair p being head p % group of row p / group; and where its parts lie in shared memory.
#pragma once

#include "kernels/cuda/attention_plan.hpp"
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/reduce.cuh"

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cuda {

// The arguments, and what the host has made of them.
struct AttentionCall {
    AttentionArgs args;
    int group = 1;         // heads that share a kv head
    int key_steps = 0;     // of sixteen elements
    int key_pitch = 0;     // elements from one key to the next in shared memory, zeros at the end
    float two_by_cap = 0;  // two divided by the soft cap, if there is one
    int chunks = 1;        // of the longest context
    int stages = 2;        // pages in shared memory
    bool staged = false;   // a page's codes are copied there, too, before they become bfloat16
    float* workspace = nullptr;
    bool split = false;       // chunks have blocks of their own, and slots of the workspace
    bool aliased = false;     // the keys in shared memory are the values, too
    bool whole_rows = false;  // keys and values can be copied by sixteen bytes
    bool whole_queries = false;
    bool paired_out = false;  // outputs can be written two by two
};

// `PageElement`: bf16 or fp8.
template <int Pairs, int Columns, class PageElement>
struct AttentionTile {
    using Element = PageElement;
    static constexpr int kPairs = Pairs, kColumns = Columns;
    static constexpr int kWarps = Pairs == 16 ? 4 : 8;
    static constexpr int kThreads = kWarps * kWarp;
    static constexpr int kChunkPages = chunk_pages(Columns);
    // Positions are scored and their weights added up in groups of sixteen.
    static constexpr int kGroups = kPageTokens / 16;
    // For scores, a warp has sixteen pairs and some groups of positions;
    static constexpr int kKeyWarps = kWarps / (Pairs / 16);
    static constexpr int kKeyGroups = kGroups / kKeyWarps;
    // for values, some columns (eights of them) and all pairs, or half of them where columns are few.
    static constexpr int kColumnWarps = kWarps * 16 <= Columns ? kWarps : Columns / 16;
    static constexpr int kEights = Columns / 8 / kColumnWarps;
    static constexpr int kPairBlocks = Pairs / 16 / (kWarps / kColumnWarps);  // of sixteen
    static_assert(kKeyGroups > 0 && kPairBlocks > 0 && kEights % 2 == 0);
    // Floats of a chunk's slot in the workspace: [pairs][columns], then greatest scores, then totals.
    static constexpr int kSlot = Pairs * (Columns + 2);

    // What the threads tell one another of each pair.
    struct Shared {
        float most[kKeyWarps][Pairs];  // the page's greatest score, by warp
        float sums[kGroups][Pairs];    // of the page's weights, by group; at the end of a chunk see finish()
        float factor[Pairs];           // what the page's greatest score makes of earlier sums
        int position[Pairs];           // the last that the pair sees
        int place[Pairs];              // its row of q and out; -1: there is no such pair
        std::uint32_t masked[2][2];    // of even and odd pages: bit p % 32 of word p / 32
    };
};

// Sixteen bytes stand where the low bits of their row number toggle their place, so that the same columns of
// eight neighbouring rows lie in different banks. Rows are whole lines of 64 elements; `chunk` counts eights.
__device__ __forceinline__ int swizzled(int row, int chunk, int pitch) {
    return row * pitch + ((chunk ^ (row & 7)) << 3);
}

// Codes from one row to the next in shared memory: an odd number of 64, so that two rows' lie in different
// banks.
__host__ __device__ __forceinline__ int code_pitch(int pitch) { return pitch | 64; }
template <class Tile>
__host__ __device__ __forceinline__ int page_codes(const AttentionCall& call) {
    return kPageTokens * (code_pitch(call.key_pitch) + (call.aliased ? 0 : code_pitch(Tile::kColumns)));
}

// The elements of a stage, and the bytes of all of a block's shared memory.
template <class Tile>
__host__ __device__ __forceinline__ int stage_elements(const AttentionCall& call) {
    return kPageTokens * (call.key_pitch + (call.aliased ? 0 : Tile::kColumns));
}
template <class Tile>
std::size_t shared_bytes(const AttentionCall& call) {
    const int elements =
        call.stages * stage_elements<Tile>(call) + Tile::kPairs * (call.key_pitch + kPageTokens);
    return static_cast<std::size_t>(elements) * sizeof(bf16) +
           static_cast<std::size_t>(call.staged ? page_codes<Tile>(call) : 0) + sizeof(typename Tile::Shared);
}

struct TilePlace {
    int sequence = -1;  // -1: there are fewer tiles
    int first_pair = 0;
};

// The place of tile number `tile`, for each lane of a warp: tiles are counted through the sequences.
__device__ __forceinline__ TilePlace find_tile(const AttentionCall& call, int tile, int pairs) {
    const int sequences = static_cast<int>(call.args.sequences.size()), lane = lane_of_thread();
    int before = 0;
    for (int first = 0; first < sequences; first += kWarp) {
        const int s = first + lane;
        const int rows = s < sequences ? static_cast<int>(call.args.sequences.data()[s].rows) : 0;
        const int mine = (rows * call.group + pairs - 1) / pairs;
        int end = mine;  // of the tiles up to this lane's
#pragma unroll
        for (int apart = 1; apart < kWarp; apart *= 2) {
            const int other = __shfl_up_sync(kAllLanes, end, static_cast<unsigned>(apart));
            if (lane >= apart) end += other;
        }
        const unsigned reached = __ballot_sync(kAllLanes, before + end > tile);
        if (reached != 0) {
            const int found = __ffs(static_cast<int>(reached)) - 1;
            const int begin = __shfl_sync(kAllLanes, end - mine, found);
            return {first + found, (tile - before - begin) * pairs};
        }
        before += __shfl_sync(kAllLanes, end, kWarp - 1);
    }
    return {};
}

// Two parts of a softmax, each relative to its own greatest score, become one.
struct Meeting {
    float most = 0;
    float earlier = 0, later = 0;  // what their sums are multiplied with
};
__device__ __forceinline__ Meeting meet(float most_earlier, float most_later) {
    const float most = fmaxf(most_earlier, most_later);
    return {most, __expf(most_earlier - most), __expf(most_later - most)};
}
__device__ __forceinline__ float met(const Meeting& meeting, float earlier, float later) {
    return __fmaf_rn(earlier, meeting.earlier, later * meeting.later);
}

// Two neighbouring sums of a pair to its row of the output, where those of earlier chunks stand if there are
// `more`; divided by the total.
__device__ __forceinline__ void put_two(const AttentionCall& call, int place, int column, bool more,
                                        const Meeting& meeting, float total, float first, float second) {
    const int width = static_cast<int>(call.args.value_dim);
    float* out = call.args.out + static_cast<std::int64_t>(place) * width + column;
    if (call.paired_out) {
        if (column >= width) return;
        auto* two = reinterpret_cast<float2*>(out);
        const float2 old = more ? *two : make_float2(0, 0);
        *two = make_float2((more ? met(meeting, old.x, first) : first) / total,
                           (more ? met(meeting, old.y, second) : second) / total);
    } else {
        if (column < width) out[0] = (more ? met(meeting, out[0], first) : first) / total;
        if (column + 1 < width) out[1] = (more ? met(meeting, out[1], second) : second) / total;
    }
}

}  // namespace sluice::kernels::cuda
