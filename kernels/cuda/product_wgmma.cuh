// Products by Hopper's tensor cores (wgmma.cuh). Weights are the operand of 64 rows, of which each warpgroup
// has its own; activations, 8 to 256 rows of them, are the other one. What is added in which order is as in
// product_multiply.cuh, and is the same for every tile.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/product_stage.cuh"
#include "kernels/cuda/product_sums.cuh"
#include "kernels/cuda/shared.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace sluice::kernels::cuda {

// What a block of threads computes at once, and the stages it keeps in shared memory.
template <int Warpgroups, int Rows, int Stages, bool CodedRows = false>
struct WarpgroupTile {
    static constexpr int kThreads = Warpgroups * kWarpgroup, kStages = Stages;
    static constexpr int kOutputs = Warpgroups * kWgmmaOutputs, kRows = Rows;
    static constexpr bool kCodedRows = CodedRows;
};

template <Format format, class T>
inline constexpr int kSwizzledStageBytes =
    (StageLayout<format, T>::kBytes + kSwizzleBytes - 1) / kSwizzleBytes* kSwizzleBytes;

template <Format format, class T>
class WarpgroupMultiplier {
    using Layout = StageLayout<format, T>;
    static constexpr bool kCoded = is_coded(format);
    static constexpr int kRowTiles = T::kRows / 8;
    static constexpr int kSteps = 4;  // of sixteen columns, in a panel

public:
    // Begins to add a stage's products. When this returns, those of all stages before it have been added.
    __device__ __forceinline__ void multiply(const std::byte* from) {
        if constexpr (kCoded) {
#pragma unroll
            for (int panel = 0; panel < Layout::kPanels; ++panel) {
                // The products of two panels ago have read their weights: now there is room for others.
                wait_products<1>();
                hold_registers(weights_[panel]);
#pragma unroll
                for (int step = 0; step < kSteps; step += 2)
                    load_weights<format, Layout>(from, output_of_warp(), 2 * panel + step / 2,
                                                 weights_[panel][step], weights_[panel][step + 1]);
                hold_registers(weights_[panel]);
                fence_registers(sum_[0]);
#pragma unroll
                for (int step = 0; step < kSteps; ++step)
                    multiply_async(sum_[0], weights_[panel][step],
                                   operand(from + Layout::kX + panel * Layout::kPanelBytes, step));
                commit_products();
            }
        } else {
            const std::byte* weights = from + warpgroup_of_thread() * kWgmmaOutputs * kStageBytes;
            fence_registers(sum_[0]);
#pragma unroll
            for (int step = 0; step < kSteps; ++step)
                multiply_async(sum_[0], operand(weights, step), operand(from + Layout::kX, step));
            commit_products();
            wait_products<1>();
        }
    }

    // Where a k block or the part ends.
    __device__ __forceinline__ void end_block(const StageLoader<format, T>& loader, const std::byte* from) {
        wait_products<0>();
        take_sums(sum_[0]);
        add_scaled(total_, sum_, reinterpret_cast<const float*>(from + Layout::kXScales),
                   loader.scales(from, output_of_warp()));
    }

    // Where a part of k ends: see product_multiply.cuh.
    __device__ __forceinline__ void end_part(const StageLoader<format, T>& loader, const SumRows& out,
                                             bool added, int hidden_zero) {
        wait_products<0>();
        take_sums(sum_[0]);
        const int output = loader.first_output() + output_of_warp() + hidden_zero;
        put_sums(ends(), out, hidden_zero, loader.rows(), output, loader.end_output(), loader.marks(), added);
    }

private:
    __device__ static int output_of_warp() { return 16 * warp_of_thread(); }
    __device__ __forceinline__ auto& ends() {
        if constexpr (kCoded)
            return total_;
        else
            return sum_;
    }

    float sum_[1][kRowTiles][4] = {};
    float total_[1][kCoded ? kRowTiles : 1][4] = {};
    // Of codes: decoded, two panels, for one is read by products while the next one is decoded.
    std::uint32_t weights_[kCoded ? Layout::kPanels : 1][kSteps][4] = {};
};

// As multiply() of product_multiply.cuh, but that a stage's products go on while the next one is waited for.
template <Format format, class T>
__device__ __forceinline__ void multiply_block(const Batch& batch) {
    const BlockWork work = work_of_block<T::kRows, (T::kRows > kMostRowsOfSmallTiles)>(batch);
    if (work.tile.rows <= 0) return;

    constexpr int kAhead = T::kStages - 2;
    static_assert(kAhead >= 1);
    std::byte* memory = swizzled_shared();
    const int begin = work.begin_of(work.first_part), end = work.begin_of(work.last_part + 1);
    const auto slot = [&](int stage) {
        return memory + (stage - begin) % T::kStages * kSwizzledStageBytes<format, T>;
    };
    const StageLoader<format, T> loader(batch, work.tile, static_cast<int>(blockIdx.y) * T::kOutputs,
                                        work.segment);
    WarpgroupMultiplier<format, T> multiplier;
    load_first_stages<T>(loader, begin, kAhead, end, slot);
    int stage = begin;
    for (int part = work.first_part; part <= work.last_part; ++part) {
        for (const int end_of_part = work.begin_of(part + 1); stage < end_of_part; ++stage) {
            wait_copies<kAhead - 1>();
            show_copies();
            __syncthreads();
            multiplier.multiply(slot(stage));
            // Into the slot of the stage two before this one, whose products have ended in all warpgroups:
            // each had begun the one before this when it came to the barrier.
            if (stage + kAhead < end) loader.load(stage + kAhead, slot(stage + kAhead));
            commit_copies();
            if constexpr (is_coded(format)) {
                if (work.ends_block(stage, end_of_part)) multiplier.end_block(loader, slot(stage));
            }
        }
        const int hidden_zero = stage - work.begin_of(part + 1);
        multiplier.end_part(loader, sum_rows(batch, work.tile, work.piece), part > work.first_part,
                            hidden_zero);
    }
}

template <Format format, class T>
__global__ void __launch_bounds__(T::kThreads) multiply_wgmma(const __grid_constant__ Batch batch) {
    if constexpr (kHasWgmma) multiply_block<format, T>(batch);
}

// How many blocks tiles of so many rows and outputs make.
inline std::int64_t blocks_of_tiles(const Batch& batch, int rows, int outputs) {
    return std::int64_t{blocks_of(batch.likely_rows, rows)} * blocks_of(batch.shape.rows, outputs) *
           batch.weights * batch.pieces();
}

template <Format format, class T, class Kernel>
void launch_tiles(Kernel kernel, const Batch& batch, const Execution& execution) {
    const dim3 grid(most_tiles(batch, T::kRows), blocks_of(batch.shape.rows, T::kOutputs),
                    static_cast<unsigned>(weights_of_grid(batch) * batch.pieces()));
    launch(kernel, grid, T::kThreads, T::kStages * kSwizzledStageBytes<format, T>, execution, batch);
}

template <Format format, class T>
void launch_wgmma(const Batch& batch, const Execution& execution) {
    launch_tiles<format, T>(multiply_wgmma<format, T>, batch, execution);
}

// Few rows are bound by reading weights: small blocks, several on a processor, with many stages under way.
template <Format format>
void multiply_any_wgmma(const Batch& batch, const Execution& execution) {
    const int rows = batch.likely_rows;
    if (rows <= 8) return launch_wgmma<format, WarpgroupTile<1, 8, 6>>(batch, execution);
    if (rows <= 16) return launch_wgmma<format, WarpgroupTile<1, 16, 6>>(batch, execution);
    if (rows <= 32) return launch_wgmma<format, WarpgroupTile<1, 32, 6>>(batch, execution);
    if (rows <= kMostRowsOfSmallTiles) return launch_wgmma<format, WarpgroupTile<1, 64, 4>>(batch, execution);
    if constexpr (!is_coded(format)) {
        // Twice as many products of what is loaded, where that leaves no processor (of an H200) idle.
        if (rows > kLargeTile && blocks_of_tiles(batch, 256, kLargeTile) >= 2 * kTilesForTogether)
            return launch_wgmma<format, WarpgroupTile<2, 256, 4>>(batch, execution);
    }
    launch_wgmma<format, WarpgroupTile<2, kLargeTile, is_coded(format) ? 4 : 6>>(batch, execution);
}

}  // namespace sluice::kernels::cuda
