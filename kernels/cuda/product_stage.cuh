// Stages of weights and activations on their way into shared memory.
#pragma once

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/overlap.cuh"
#include "kernels/cuda/product_place.cuh"
#include "kernels/cuda/product_sums.cuh"

namespace sluice::kernels::cuda {

// One stage in shared memory: rows of 128 bytes, whose 16-byte chunks are permuted by the row's number, so
// that no eight rows' equal chunks share a bank. T says how many rows and outputs there are, whether the rows
// are codes, and how many threads.
template <Format format, class T>
struct StageLayout {
    // Of x, 128 bytes a row: 64 columns of bfloat16, or 128 codes.
    static constexpr int kPanels = is_coded(format) && !T::kCodedRows ? 2 : 1;
    static constexpr int kX = T::kOutputs * kStageBytes;
    static constexpr int kPanelBytes = T::kRows * kStageBytes;
    static constexpr int kXScales = kX + kPanels * kPanelBytes;  // [rows][16 bytes]
    static constexpr int kScales = kXScales + (is_coded(format) ? T::kRows * 16 : 0);
    static constexpr int kBytes = kScales + (is_coded(format) ? T::kOutputs * 4 : 0);

    __device__ static int at(int row, int chunk) { return row * kStageBytes + ((chunk ^ row) & 7) * 16; }
};

// What a block loads: all of a segment's stages, of some outputs and of some rows.
template <Format format, class T>
class StageLoader {
    static_assert(T::kOutputs % (4 * kOutputsOfScale) == 0, "scales are copied by fours");
    using Layout = StageLayout<format, T>;
    static constexpr bool kCoded = is_coded(format);

public:
    __device__ StageLoader(const Batch& batch, const RowTile& tile, int first_output, const Segment& segment)
        : shape_(batch.shape),
          marked_(batch.marked),
          segment_(segment),
          values_(batch.weight[tile.weight]),
          x_(batch.converted + row_number(batch, tile) * x_row_bytes(batch.shape, T::kCodedRows)),
          rows_(tile.rows),
          first_output_(first_output) {}

    // Of the tile: there may be fewer than its sizes.
    __device__ __forceinline__ int rows() const { return rows_; }
    __device__ __forceinline__ int first_output() const { return first_output_; }
    __device__ __forceinline__ int end_output() const { return shape_.rows; }

    // Where a stage in shared memory has the scale of the tile's output `first`, and those of others.
    __device__ __forceinline__ OutputScales scales(const std::byte* stage, int first) const {
        const auto* all = reinterpret_cast<const float*>(stage + Layout::kScales);
        return {all + shape_.scale_of(first), shape_.shared_scales};
    }
    // Of the segment's outputs; null where none is marked.
    __device__ __forceinline__ const float* marks() const {
        if constexpr (format == Format::Fp8) {
            if (marked_)
                return reinterpret_cast<const float*>(values_ + shape_.marks_at()) +
                       std::int64_t{segment_.number} * shape_.padded_rows;
        }
        return nullptr;
    }

    // Begins to load a stage, which counts from the segment's first.
    __device__ __forceinline__ void load(int stage, std::byte* to) const {
        load_packed(stage, to);
        load_rows(stage, to);
    }
    // What of it is the packed weight's.
    __device__ __forceinline__ void load_packed(int stage, std::byte* to) const {
        const int thread = static_cast<int>(threadIdx.x);
        const std::int64_t all = segment_.first_stage + stage;
        const std::byte* weights = values_ + all * kStageBytes;
#pragma unroll
        for (int i = thread; i < T::kOutputs * 8; i += T::kThreads) {
            const int row = i / 8, chunk = i % 8;
            const bool there = first_output_ + row < shape_.rows;
            const std::int64_t from = there ? first_output_ + row : 0;
            copy_async(to + Layout::at(row, chunk), weights + from * shape_.row_bytes() + chunk * 16,
                       there ? 16 : 0);
        }
        if constexpr (kCoded) {
            const std::int64_t block = segment_.first_block + segment_.block_of(stage);
            const std::byte* scales =
                values_ + shape_.scales_at() + (block * shape_.scales() + shape_.scale_of(first_output_)) * 4;
            for (int i = thread; i < shape_.scale_of(T::kOutputs) / 4; i += T::kThreads)
                copy_async(to + Layout::kScales + i * 16, scales + i * 16);
        }
    }
    // And the rows'.
    __device__ __forceinline__ void load_rows(int stage, std::byte* to) const {
        expect_awaited();
        const std::byte* x =
            x_ + std::int64_t{segment_.first_stage + stage} * x_stage_bytes(format, T::kCodedRows);
        constexpr int kChunks = 8 * Layout::kPanels + (kCoded ? 1 : 0);  // the last one is the scale
        for (int i = static_cast<int>(threadIdx.x); i < T::kRows * kChunks; i += T::kThreads) {
            const int row = i / kChunks, chunk = i % kChunks;
            const bool there = row < rows_;
            const int at = chunk == 8 * Layout::kPanels
                               ? Layout::kXScales + row * 16
                               : Layout::kX + chunk / 8 * Layout::kPanelBytes + Layout::at(row, chunk % 8);
            copy_async(to + at, x + (there ? row : 0) * x_row_bytes(shape_, T::kCodedRows) + chunk * 16,
                       there ? 16 : 0);
        }
    }

private:
    const WeightShape& shape_;
    const bool& marked_;  // as the shape, of the kernel's parameters
    const Segment& segment_;
    const std::byte *values_, *x_;
    int rows_, first_output_;
};

// Begins to load a block's first stages, `ahead` from `begin` on or fewer, each a group of copies. Their
// weights while the launches before, one of which makes the rows, still run: but not of large tiles by codes,
// which read the least of the time and have no register to spare (ptxas spills four).
template <class T, class Loader, class Slot>
__device__ __forceinline__ void load_first_stages(const Loader& loader, int begin, int ahead, int end,
                                                  Slot slot) {
    constexpr bool kWeightsFirst = !T::kCodedRows || T::kRows <= kMostRowsOfSmallTiles;
    if constexpr (kWeightsFirst) {
        for (int stage = begin; stage < min(begin + ahead, end); ++stage)
            loader.load_packed(stage, slot(stage));
    }
    await_launches_before();
    for (int stage = begin; stage < begin + ahead; ++stage) {
        if (stage < end) {
            if constexpr (!kWeightsFirst) loader.load_packed(stage, slot(stage));
            loader.load_rows(stage, slot(stage));
        }
        commit_copies();
    }
}

// Four codes of k as two pairs of bfloat16.
template <Format format>
__device__ __forceinline__ void decode(std::uint32_t codes, std::uint32_t (&pairs)[2]) {
    if constexpr (format == Format::Fp8)
        e4m3_to_bf16(codes, pairs);
    else
        int8_to_bf16(codes, pairs);
}

// Columns 32 step and on of sixteen outputs, as two fragments of an `a`. Codes lie in the order that decoding
// wants (product_convert.cu).
template <Format format, class Layout>
__device__ __forceinline__ void load_weights(const std::byte* from, int output, int step,
                                             std::uint32_t (&first)[4], std::uint32_t (&second)[4]) {
    const int lane = lane_of_thread(), row = output + lane % 16;
    if constexpr (!is_coded(format)) {
        load_matrices(first, from + Layout::at(row, 4 * step + lane / 16));
        load_matrices(second, from + Layout::at(row, 4 * step + 2 + lane / 16));
    } else {
        std::uint32_t codes[4];
        load_matrices(codes, from + Layout::at(row, 2 * step + lane / 16));
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            std::uint32_t pairs[2];
            decode<format>(codes[i], pairs);
            std::uint32_t(&a)[4] = i < 2 ? first : second;
            a[i % 2] = pairs[0];
            a[i % 2 + 2] = pairs[1];
        }
    }
}

}  // namespace sluice::kernels::cuda
