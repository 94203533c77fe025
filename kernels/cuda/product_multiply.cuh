// Products by tensor cores: weights are the operand of sixteen rows, activations that of eight columns, so
// that few rows of activations waste little.
//
// Accumulation, whatever the tile: one float32 sum an output over a part's stages, sixteen products at a time
// in order; where the weight is codes, one such sum a k block, and total = total + (sum * x scale) * weight
// scale. Parts are added in order, by the block that computes them all or when all are there.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/product_stage.cuh"
#include "kernels/cuda/product_sums.cuh"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {

// What a block of threads computes at once, and the stages it keeps in shared memory.
template <int OutputWarps, int RowWarps, int OutputTiles, int RowTiles, int Stages>
struct Tile {
    static constexpr int kOutputWarps = OutputWarps, kOutputTiles = OutputTiles, kRowTiles = RowTiles;
    static constexpr int kThreads = OutputWarps * RowWarps * kWarp;
    static constexpr int kOutputs = OutputWarps * OutputTiles * 16, kRows = RowWarps * RowTiles * 8;
    static constexpr int kStages = Stages;
    static constexpr bool kCodedRows = false;
};

template <Format format, class T>
class Multiplier {
    using Layout = StageLayout<format, T>;
    static constexpr bool kCoded = is_coded(format);

public:
    using Loader = StageLoader<format, T>;
    __device__ explicit Multiplier(const Loader& loader) : loader_(loader) {}

    // Adds a stage's products.
    __device__ __forceinline__ void multiply(const std::byte* from) {
        constexpr int kSteps = kCoded ? 4 : 2;  // of 32 columns
        const int lane = lane_of_thread();
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
            std::uint32_t a[T::kOutputTiles][2][4];
#pragma unroll
            for (int m = 0; m < T::kOutputTiles; ++m)
                load_weights<format, Layout>(from, output_of_warp() + 16 * m, step, a[m][0], a[m][1]);
            const std::byte* x = from + Layout::kX + step / 2 * Layout::kPanelBytes;
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
        const auto* x_scales = reinterpret_cast<const float*>(from + Layout::kXScales) + 4 * row_of_warp();
        add_scaled(total_, sum_, x_scales, loader_.scales(from, output_of_warp()));
    }

    // Where a part of k ends: its sums go to `out`, or are added to what an earlier part put there. The zero,
    // which a compiler cannot see, keeps the places out of registers while stages are multiplied: large tiles
    // have none to spare.
    __device__ __forceinline__ void end_part(const SumRows& out, bool added, int hidden_zero) {
        put_sums(ends(), out, row_of_warp() + hidden_zero, loader_.rows(),
                 loader_.first_output() + output_of_warp() + hidden_zero, loader_.end_output(),
                 loader_.marks(), added);
    }

private:
    // Of the warp, within the tile.
    __device__ static int output_of_warp() {
        return warp_of_thread() % T::kOutputWarps * T::kOutputTiles * 16;
    }
    __device__ static int row_of_warp() { return warp_of_thread() / T::kOutputWarps * T::kRowTiles * 8; }
    __device__ __forceinline__ auto& ends() {
        if constexpr (kCoded)
            return total_;
        else
            return sum_;
    }

    const Loader& loader_;
    float sum_[T::kOutputTiles][T::kRowTiles][4] = {};
    float total_[kCoded ? T::kOutputTiles : 1][T::kRowTiles][4] = {};
};

// Grid: tiles of rows, tiles of outputs, weights times pieces. Tiles of rows that share weights run together.
template <Format format, class T>
__global__ void __launch_bounds__(T::kThreads) multiply(const __grid_constant__ Batch batch) {
    using Layout = StageLayout<format, T>;
    const BlockWork work = work_of_block<T::kRows, (T::kRows > kMostRowsOfSmallTiles)>(batch);
    if (work.tile.rows <= 0) return;

    std::byte* memory = dynamic_shared<std::byte>();
    const int begin = work.begin_of(work.first_part), end = work.begin_of(work.last_part + 1);
    const auto slot = [&](int stage) { return memory + (stage - begin) % T::kStages * Layout::kBytes; };
    const StageLoader<format, T> loader(batch, work.tile, static_cast<int>(blockIdx.y) * T::kOutputs,
                                        work.segment);
    Multiplier<format, T> multiplier(loader);
    load_first_stages<T>(loader, begin, T::kStages - 1, end, slot);
    int stage = begin;
    for (int part = work.first_part; part <= work.last_part; ++part) {
        for (const int end_of_part = work.begin_of(part + 1); stage < end_of_part; ++stage) {
            wait_copies<T::kStages - 2>();
            __syncthreads();
            // Into the slot of the stage before this one, which all threads have left.
            if (stage + T::kStages - 1 < end)
                loader.load(stage + T::kStages - 1, slot(stage + T::kStages - 1));
            commit_copies();
            multiplier.multiply(slot(stage));
            if constexpr (is_coded(format)) {
                if (work.ends_block(stage, end_of_part)) multiplier.end_block(slot(stage));
            }
        }
        const int hidden_zero = stage - work.begin_of(part + 1);
        multiplier.end_part(sum_rows(batch, work.tile, work.piece), part > work.first_part, hidden_zero);
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
