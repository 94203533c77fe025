#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"
#include "kernels/cuda/vocab_best.cuh"
#include "kernels/cuda/vocab_draw.cuh"

#include <algorithm>
#include <bit>

namespace sluice::kernels::cuda {
namespace {

// The logits are read once, by as many blocks as there are tiles; then a block a slice of a row makes its
// summary of the chunks' records and looks into the few chunks where the drawn and the best tokens are.

constexpr int kChunksOfWarp = 4;  // loads that a lane has under way
constexpr int kMostWarpsOfBlock = 8;
constexpr int kWordsOfTile = kMostWarpsOfBlock * kChunksOfWarp * kWordsOfChunk;

// Of a block whose warps take `each` chunks of a slice: no more than there is work for.
unsigned threads_for(int chunks, int each) {
    return static_cast<unsigned>(std::clamp((chunks + each - 1) / each, 1, kMostWarpsOfBlock) * kWarp);
}

__device__ __forceinline__ float greatest(const Quad& quad) {
    return fmaxf(fmaxf(quad.v[0], quad.v[1]), fmaxf(quad.v[2], quad.v[3]));  // NaN aside
}

__device__ __forceinline__ float masses(const Quad& quad, float max, float rate) {
    return (mass(quad.v[0], max, rate) + mass(quad.v[1], max, rate)) +
           (mass(quad.v[2], max, rate) + mass(quad.v[3], max, rate));
}

// `bits`: which of the lane's logits are penalised.
__device__ __forceinline__ VocabChunk record_of(const VocabSlice& slice, const Quad& raw, unsigned bits) {
    VocabChunk record;
    record.plain_max = record.max = warp_max(greatest(raw));
    record.plain_sum = record.sum = warp_sum(masses(raw, record.plain_max, kLog2E));
    if (slice.is_plain) return record;
    Quad logits;
#pragma unroll
    for (int j = 0; j < 4; ++j)
        logits.v[j] = (bits >> j & 1U) != 0 ? penalized(raw.v[j], slice.penalty) : raw.v[j];
    if (slice.is_penalized) record.max = warp_max(greatest(logits));
    record.sum = warp_sum(masses(logits, record.max, slice.rate));
    return record;
}

// Block (row, slice, tile). `records`: [rows][slices][most_chunks].
__global__ void __launch_bounds__(kMostWarpsOfBlock* kWarp)
    record_chunks(VocabArgs args, VocabChunk* records, int most_chunks) {
    join_stream();
    struct Shared {
        unsigned seen[kWordsOfTile];
    };
    const VocabRow& row = args.rows.data()[blockIdx.x];
    const VocabSlice slice = slice_of(args, row, static_cast<int>(blockIdx.y));
    const int chunks_of_tile = static_cast<int>(blockDim.x) / kWarp * kChunksOfWarp;
    const int tile = static_cast<int>(blockIdx.z) * chunks_of_tile;
    if (slice.chunks > most_chunks) __trap();  // wider than the arguments say
    if (tile >= slice.chunks) return;
    const int lane = lane_of_thread(), chunk = tile + warp_of_thread() * kChunksOfWarp;
    Quad raw[kChunksOfWarp];
#pragma unroll
    for (int k = 0; k < kChunksOfWarp; ++k) raw[k] = load_logits(slice, (chunk + k) * kVocabChunk + 4 * lane);

    unsigned* seen = shared<Shared>().seen;
    mark_seen(row, slice, tile * kVocabChunk, chunks_of_tile * kWordsOfChunk, seen);
    __syncthreads();
    records += (static_cast<std::int64_t>(blockIdx.x) * gridDim.y + blockIdx.y) * most_chunks;
#pragma unroll
    for (int k = 0; k < kChunksOfWarp; ++k) {
        if (chunk + k >= slice.chunks) break;
        const int i = (chunk + k - tile) * kVocabChunk + 4 * lane;
        const unsigned bits = slice.is_penalized ? seen[i / 32] >> i % 32 : 0;
        const VocabChunk record = record_of(slice, raw[k], bits);
        if (lane == 0) records[chunk + k] = record;
    }
}

// What a block of the second kernel has in dynamic memory.
struct SliceMemory {
    VocabChunk* chunks;
    std::uint64_t* keys;
    int* listed;
    unsigned* seen;
};

__device__ __forceinline__ SliceMemory slice_memory(int most_chunks, int capacity) {
    SliceMemory memory;
    memory.chunks = dynamic_shared<VocabChunk>();
    memory.keys = reinterpret_cast<std::uint64_t*>(memory.chunks + most_chunks);
    memory.listed = reinterpret_cast<int*>(memory.keys + capacity);
    memory.seen = reinterpret_cast<unsigned*>(memory.listed + most_chunks);
    return memory;
}

std::size_t slice_memory_bytes(int most_chunks, int capacity) {
    const std::size_t each = sizeof(VocabChunk) + sizeof(int) + kWordsOfChunk * sizeof(unsigned);
    return each * static_cast<std::size_t>(most_chunks) +
           sizeof(std::uint64_t) * static_cast<std::size_t>(capacity);
}

// The greatest of the records' maxima, for every thread of the block.
__device__ __forceinline__ void greatest_of(const VocabChunk* chunks, int count, float (*maxima)[kMostWarps],
                                            VocabSummary& summary) {
    summary.plain_max = summary.max = kLowest;
    for (int c = static_cast<int>(threadIdx.x); c < count; c += static_cast<int>(blockDim.x)) {
        summary.plain_max = fmaxf(summary.plain_max, chunks[c].plain_max);
        summary.max = fmaxf(summary.max, chunks[c].max);
    }
    maxima[0][warp_of_thread()] = warp_max(summary.plain_max);
    maxima[1][warp_of_thread()] = warp_max(summary.max);
    __syncthreads();
    for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) {
        summary.plain_max = fmaxf(summary.plain_max, maxima[0][w]);
        summary.max = fmaxf(summary.max, maxima[1][w]);
    }
}

// Block (row, slice).
__global__ void __launch_bounds__(kMostWarpsOfBlock* kWarp)
    finish_slices(VocabArgs args, const VocabChunk* records, int most_chunks, int capacity) {
    join_stream();
    struct Shared {
        float maxima[2][kMostWarps];
        int counts[2][kMostWarps];
        int listed_count, held;
    };
    Shared& shared_values = shared<Shared>();
    const SliceMemory memory = slice_memory(most_chunks, capacity);
    const VocabRow& row = args.rows.data()[blockIdx.x];
    const VocabSlice slice = slice_of(args, row, static_cast<int>(blockIdx.y));
    const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * gridDim.y + blockIdx.y;
    if (slice.chunks > most_chunks) __trap();  // wider than the arguments say
    for (int c = static_cast<int>(threadIdx.x); c < slice.chunks; c += static_cast<int>(blockDim.x))
        memory.chunks[c] = records[at * most_chunks + c];
    mark_seen(row, slice, 0, slice.chunks * kWordsOfChunk, memory.seen);
    __syncthreads();

    VocabSummary summary;
    greatest_of(memory.chunks, slice.chunks, shared_values.maxima, summary);
    if (warp_of_thread() == 0) {
        const std::uint64_t stream = 1 + static_cast<std::uint64_t>(args.first_slice) + blockIdx.y;
        sum_and_draw(slice, memory.chunks, memory.seen, row.draw_key, stream, summary);
        const std::int32_t target = row.target - slice.first_id;
        if (row.target >= 0 && target >= 0 && target < slice.count) summary.target_logit = slice.raw[target];
        if (threadIdx.x == 0) args.summaries[at] = summary;
    }
    const BestMemory best{memory.chunks,
                          memory.seen,
                          memory.listed,
                          memory.keys,
                          capacity,
                          &shared_values.listed_count,
                          &shared_values.held,
                          shared_values.counts};
    list_best<true>(slice, best, row.top, args.max_top, summary.plain_max, args.top + at * args.max_top);
    list_best<false>(slice, best, row.candidates, args.max_candidates, summary.max,
                     args.candidates + at * args.max_candidates);
}

}  // namespace

void run_vocab(const VocabArgs& args, const Execution& execution) {
    const auto rows = static_cast<unsigned>(args.rows.size());
    const auto slices = static_cast<unsigned>(slices_of(args));
    if (rows == 0 || slices == 0) return;
    SLUICE_CUDA_CHECK(execution.workspace_bytes >= vocab_workspace(args) ? cudaSuccess
                                                                         : cudaErrorInvalidValue);
    const int chunks = chunks_of(args);
    auto* records = static_cast<VocabChunk*>(execution.workspace);
    if (chunks > 0) {
        const unsigned threads = threads_for(chunks, kChunksOfWarp);
        const unsigned tiles = blocks_of(chunks, threads / kWarp * kChunksOfWarp);
        launch(record_chunks, dim3(rows, slices, tiles), threads, 0, execution, args, records, chunks);
    }
    const unsigned threads = threads_for(chunks, 1);
    const int most = std::max({args.max_candidates, args.max_top, 1});
    const auto capacity =
        static_cast<int>(std::bit_ceil(static_cast<unsigned>(most) + threads / kWarp * kVocabChunk));
    launch(finish_slices, dim3(rows, slices), threads, slice_memory_bytes(chunks, capacity), execution, args,
           static_cast<const VocabChunk*>(records), chunks, capacity);
}

}  // namespace sluice::kernels::cuda
