// Products by tensor cores: weights are the operand of sixteen rows, activations that of eight columns, so
// that few rows of activations waste little.
//
// Accumulation, whatever the tile: one float32 sum an output over a part's stages, sixteen products at a time
// in order; where the weight is codes, one such sum a k block, and total = total + (sum * x scale) * weight
// scale. Parts are added in order, by the block that computes them all or when all are there.
#pragma once

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/product_place.cuh"
#include "kernels/cuda/shared.cuh"

#include <type_traits>

namespace sluice::kernels::cuda {

// What a block of threads computes at once, and the stages it keeps in shared memory.
template <int OutputWarps, int RowWarps, int OutputTiles, int RowTiles, int Stages>
struct Tile {
    static constexpr int kOutputWarps = OutputWarps, kOutputTiles = OutputTiles, kRowTiles = RowTiles;
    static constexpr int kThreads = OutputWarps * RowWarps * kWarp;
    static constexpr int kOutputs = OutputWarps * OutputTiles * 16, kRows = RowWarps * RowTiles * 8;
    static constexpr int kStages = Stages;
};

// One stage in shared memory: rows of 128 bytes, whose 16-byte chunks are permuted by the row's number, so
// that no eight rows' equal chunks share a bank.
template <Format format, class T>
struct StageLayout {
    static constexpr int kPanels = is_coded(format) ? 2 : 1;  // of x: a panel has 64 columns
    static constexpr int kX = T::kOutputs * kStageBytes;
    static constexpr int kXScales = kX + kPanels * T::kRows * kStageBytes;  // [rows][16 bytes]
    static constexpr int kScales = kXScales + (is_coded(format) ? T::kRows * 16 : 0);
    static constexpr int kBytes = kScales + (is_coded(format) ? T::kOutputs * 4 : 0);

    __device__ static int at(int row, int chunk) { return row * kStageBytes + ((chunk ^ row) & 7) * 16; }
};

template <Format format, class T>
class Multiplier {
    using Layout = StageLayout<format, T>;
    static constexpr bool kCoded = is_coded(format);

public:
    __device__ Multiplier(const Batch& batch, const RowTile& tile, int first_output, const Segment& segment)
        : shape_(batch.shape),
          segment_(segment),
          values_(batch.weight[tile.weight]),
          x_(batch.converted + row_number(batch, tile) * x_row_bytes(batch.shape)),
          rows_(tile.rows),
          first_output_(first_output) {}

    // Begins to load a stage, which counts from the segment's first.
    __device__ __forceinline__ void load(int stage, std::byte* to) const {
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
        const std::byte* x = x_ + all * x_stage_bytes(format);
        constexpr int kChunks = 8 * Layout::kPanels + (kCoded ? 1 : 0);  // the last one is the scale
        for (int i = thread; i < T::kRows * kChunks; i += T::kThreads) {
            const int row = i / kChunks, chunk = i % kChunks;
            const bool there = row < rows_;
            const int at = chunk == 8 * Layout::kPanels
                               ? Layout::kXScales + row * 16
                               : Layout::kX + chunk / 8 * T::kRows * kStageBytes + Layout::at(row, chunk % 8);
            copy_async(to + at, x + (there ? row : 0) * x_row_bytes(shape_) + chunk * 16, there ? 16 : 0);
        }
        if constexpr (kCoded) {
            const std::int64_t block = segment_.first_block + segment_.block_of(stage);
            const std::byte* scales =
                values_ + shape_.scales_at() + (block * shape_.padded_rows + first_output_) * 4;
            for (int i = thread; i < T::kOutputs / 4; i += T::kThreads)
                copy_async(to + Layout::kScales + i * 16, scales + i * 16);
        }
    }

    // Adds a stage's products.
    __device__ __forceinline__ void multiply(const std::byte* from) {
        constexpr int kSteps = kCoded ? 4 : 2;  // of 32 columns
        const int lane = lane_of_thread();
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
            std::uint32_t a[T::kOutputTiles][2][4];
#pragma unroll
            for (int m = 0; m < T::kOutputTiles; ++m)
                load_weights(from, output_of_warp() + 16 * m, step, a[m]);
            const std::byte* x = from + Layout::kX + step / 2 * T::kRows * kStageBytes;
#pragma unroll
            for (int n = 0; n < T::kRowTiles; ++n) {
                std::uint32_t b[4];
                load_matrices(b, x + Layout::at(row_of_warp() + 8 * n + lane % 8, step % 2 * 4 + lane / 8));
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const std::uint32_t sixteen[2] = {b[2 * half], b[2 * half + 1]};
#pragma unroll
                    for (int m = 0; m < T::kOutputTiles; ++m) mma_bf16(sum_[m][n], a[m][half], sixteen);
                }
            }
        }
    }

    // Where a k block or the part ends.
    __device__ __forceinline__ void end_block(const std::byte* from) {
        const auto* x_scales = reinterpret_cast<const float*>(from + Layout::kXScales);
        const auto* scales = reinterpret_cast<const float*>(from + Layout::kScales);
#pragma unroll
        for (int n = 0; n < T::kRowTiles; ++n) {
#pragma unroll
            for (int m = 0; m < T::kOutputTiles; ++m) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    float& sum = sum_[m][n][i];
                    total_[m][n][i] += sum * x_scales[4 * row_of(n, i)] * scales[output_of(m, i)];
                    sum = 0;
                }
            }
        }
    }

    // Where a part of k ends: its sums go to `out`, or are added to what an earlier part put there. The zero,
    // which a compiler cannot see, keeps the places out of registers while stages are multiplied: large tiles
    // have none to spare.
    __device__ __forceinline__ void end_part(const SumRows& out, bool added, int hidden_zero) {
#pragma unroll
        for (int n = 0; n < T::kRowTiles; ++n) {
#pragma unroll
            for (int m = 0; m < T::kOutputTiles; ++m) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    float& sum = kCoded ? total_[kCoded ? m : 0][kCoded ? n : 0][i] : sum_[m][n][i];
                    const int row = row_of(n, i) + hidden_zero;
                    const int output = first_output_ + output_of(m, i) + hidden_zero;
                    if (row < rows_ && output < shape_.rows) {
                        float* to = out.first + row * out.stride + output;
                        *to = added ? *to + sum : sum;
                    }
                    sum = 0;
                }
            }
        }
    }

private:
    // Of the warp, within the tile.
    __device__ static int output_of_warp() {
        return warp_of_thread() % T::kOutputWarps * T::kOutputTiles * 16;
    }
    __device__ static int row_of_warp() { return warp_of_thread() / T::kOutputWarps * T::kRowTiles * 8; }
    // Of element i of a fragment.
    __device__ static int output_of(int m, int i) {
        return output_of_warp() + 16 * m + lane_of_thread() / 4 + i / 2 * 8;
    }
    __device__ static int row_of(int n, int i) {
        return row_of_warp() + 8 * n + lane_of_thread() % 4 * 2 + i % 2;
    }

    // Columns 32 step and on of sixteen outputs, as two fragments.
    __device__ __forceinline__ void load_weights(const std::byte* from, int output, int step,
                                                 std::uint32_t (&a)[2][4]) const {
        const int lane = lane_of_thread(), row = output + lane % 16;
        if constexpr (!kCoded) {
            load_matrices(a[0], from + Layout::at(row, 4 * step + lane / 16));
            load_matrices(a[1], from + Layout::at(row, 4 * step + 2 + lane / 16));
        } else {
            std::uint32_t codes[4];
            load_matrices(codes, from + Layout::at(row, 2 * step + lane / 16));
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                std::uint32_t pairs[2];
                if constexpr (format == Format::Fp8)
                    e4m3_to_bf16(codes[i], pairs);
                else
                    int8_to_bf16(codes[i], pairs);
                a[i / 2][i % 2] = pairs[0];
                a[i / 2][i % 2 + 2] = pairs[1];
            }
        }
    }

    const WeightShape& shape_;
    const Segment& segment_;
    const std::byte *values_, *x_;
    int rows_, first_output_;
    float sum_[T::kOutputTiles][T::kRowTiles][4] = {};
    float total_[kCoded ? T::kOutputTiles : 1][kCoded ? T::kRowTiles : 1][4] = {};
};

// Grid: tiles of rows, tiles of outputs, weights times pieces. Tiles of rows that share weights run together.
template <Format format, class T>
__global__ void __launch_bounds__(T::kThreads) multiply(const __grid_constant__ Batch batch) {
    using Layout = StageLayout<format, T>;
    const WeightShape& shape = batch.shape;
    const int piece = static_cast<int>(blockIdx.z) % batch.pieces();
    const RowTile tile = find_tile<T::kRows>(batch, static_cast<int>(blockIdx.x),
                                             static_cast<int>(blockIdx.z) / batch.pieces());
    if (tile.rows <= 0) return;
    const Segment& segment = shape.segment[piece / batch.sums_of_segment()];
    const bool together = T::kRows == kLargeTile && batch.together;
    const int first_part = together ? 0 : piece % batch.splits;
    const int last_part = together ? batch.splits - 1 : first_part;
    const auto begin_of = [&](int part) { return segment.stages * part / batch.splits; };
    const int begin = begin_of(first_part), end = begin_of(last_part + 1);

    std::byte* memory = dynamic_shared<std::byte>();
    const auto slot = [&](int stage) { return memory + (stage - begin) % T::kStages * Layout::kBytes; };
    Multiplier<format, T> multiplier(batch, tile, static_cast<int>(blockIdx.y) * T::kOutputs, segment);
    for (int stage = begin; stage < begin + T::kStages - 1; ++stage) {
        if (stage < end) multiplier.load(stage, slot(stage));
        commit_copies();
    }
    int stage = begin;
    for (int part = first_part; part <= last_part; ++part) {
        for (const int end_of_part = begin_of(part + 1); stage < end_of_part; ++stage) {
            wait_copies<T::kStages - 2>();
            __syncthreads();
            // Into the slot of the stage before this one, which all threads have left.
            if (stage + T::kStages - 1 < end)
                multiplier.load(stage + T::kStages - 1, slot(stage + T::kStages - 1));
            commit_copies();
            multiplier.multiply(slot(stage));
            if constexpr (is_coded(format)) {
                if (stage + 1 == end_of_part || segment.block_of(stage + 1) != segment.block_of(stage))
                    multiplier.end_block(slot(stage));
            }
        }
        const int hidden_zero = stage - begin_of(part + 1);
        multiplier.end_part(sum_rows(batch, tile, piece), part > first_part, hidden_zero);
    }
}

template <Format format, class T>
void launch_multiply(const Batch& batch, const Execution& execution) {
    const dim3 grid(most_tiles(batch, T::kRows), blocks_of(batch.shape.rows, T::kOutputs),
                    static_cast<unsigned>(weights_of_grid(batch) * batch.pieces()));
    launch(multiply<format, T>, grid, T::kThreads, T::kStages * StageLayout<format, T>::kBytes, execution,
           batch);
}

template <Format format>
void multiply_any(const Batch& batch, const Execution& execution) {
    const int rows = batch.likely_rows;
    if (rows <= 8) return launch_multiply<format, Tile<4, 1, 1, 1, 6>>(batch, execution);
    if (rows <= 16) return launch_multiply<format, Tile<4, 1, 1, 2, 6>>(batch, execution);
    if (rows <= 32) return launch_multiply<format, Tile<4, 1, 1, 4, 5>>(batch, execution);
    if (rows <= kMostRowsOfSmallTiles) return launch_multiply<format, Tile<4, 1, 1, 8, 4>>(batch, execution);
    using Large = Tile<4, 2, 2, 8, 3>;
    static_assert(Large::kRows == kLargeTile && Large::kOutputs == kLargeTile);
    launch_multiply<format, Large>(batch, execution);
}

}  // namespace sluice::kernels::cuda
