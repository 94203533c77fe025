// Products of e4m3 weights and rows of e4m3 as Hopper's tensor cores multiply them: both as the codes they
// are, at twice the rate of bfloat16, and nothing is decoded.
//
// Accumulation, whatever the tile: tensor cores add a stage (at most 128 columns, of one k block), for they
// keep few bits; total = total + sum * (x scale * weight scale) in float32, rounded once, stages in order.
#include "kernels/cuda/product_wgmma.cuh"

namespace sluice::kernels::cuda {
namespace {

template <class T>
class CodesMultiplier {
    using Layout = StageLayout<Format::Fp8, T>;
    using Loader = StageLoader<Format::Fp8, T>;
    static constexpr int kRowTiles = T::kRows / 8;
    static constexpr int kSteps = 4;  // of 32 columns, in a stage

public:
    __device__ explicit CodesMultiplier(const Loader& loader) : loader_(loader) {}

    // Adds the products of `Stages` stages, one or two: of two, the sums of one are scaled while tensor cores
    // make those of the other. `at(i)`: where stage i lies; `meanwhile`: what there is to do before they are
    // there.
    template <int Stages, class At, class Meanwhile>
    __device__ __forceinline__ void multiply(At at, Meanwhile meanwhile) {
        begin<0>(at(0));
        if constexpr (Stages == 2) begin<1>(at(1));
        meanwhile();
        wait_products<Stages - 1>();
        end<0>(at(0));
        if constexpr (Stages == 2) {
            wait_products<0>();
            end<1>(at(1));
        }
    }

    // Where a part of k ends: see product_multiply.cuh.
    __device__ __forceinline__ void end_part(const SumRows& out, bool added, int hidden_zero) {
        const int output = loader_.first_output() + output_of_warp() + hidden_zero;
        put_sums(totals_, out, hidden_zero, loader_.rows(), output, loader_.end_output(), loader_.marks(),
                 added);
    }

private:
    __device__ static int output_of_warp() { return 16 * warp_of_thread(); }

    template <int Which>
    __device__ __forceinline__ void begin(const std::byte* stage) {
        const std::byte* weights = stage + warpgroup_of_thread() * kWgmmaOutputs * kStageBytes;
        fence_registers(sums_[Which]);
        multiply_codes_async<true>(sums_[Which], operand(weights, 0), operand(stage + Layout::kX, 0));
#pragma unroll
        for (int step = 1; step < kSteps; ++step)
            multiply_codes_async<false>(sums_[Which], operand(weights, step),
                                        operand(stage + Layout::kX, step));
        commit_products();
    }

    template <int Which>
    __device__ __forceinline__ void end(const std::byte* stage) {
        take_sums(sums_[Which]);
        const auto* x_scales = reinterpret_cast<const float*>(stage + Layout::kXScales);
        const OutputScales scales = loader_.scales(stage, output_of_warp());
        const float of_outputs[2] = {scales.of(0, 0), scales.of(0, 2)};
#pragma unroll
        for (int n = 0; n < kRowTiles; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i)
                totals_[0][n][i] = __fmaf_rn(
                    sums_[Which][n][i], x_scales[4 * row_of(n, i)] * of_outputs[i / 2], totals_[0][n][i]);
        }
    }

    const Loader& loader_;
    float sums_[2][kRowTiles][4] = {};
    float totals_[1][kRowTiles][4] = {};
};

template <class T>
__device__ __forceinline__ void multiply_block_of_codes(const Batch& batch) {
    const BlockWork work = work_of_block<T::kRows, (T::kRows > kMostRowsOfSmallTiles)>(batch);
    if (work.tile.rows <= 0) return;

    constexpr int kAhead = T::kStages - 2;
    static_assert(kAhead >= 2, "two stages are waited for at once");
    std::byte* memory = swizzled_shared();
    const int begin = work.begin_of(work.first_part), end = work.begin_of(work.last_part + 1);
    const auto slot = [&](int stage) {
        return memory + (stage - begin) % T::kStages * kSwizzledStageBytes<Format::Fp8, T>;
    };
    const StageLoader<Format::Fp8, T> loader(batch, work.tile, static_cast<int>(blockIdx.y) * T::kOutputs,
                                             work.segment);
    CodesMultiplier<T> multiplier(loader);
    const auto load = [&](int stage) {
        if (stage < end) loader.load(stage, slot(stage));
        commit_copies();
    };
    const auto multiply = [&]<int kCount>(int stage) {
        wait_copies<kAhead - 2>();
        show_copies();
        __syncthreads();
        multiplier.template multiply<kCount>([&](int i) { return slot(stage + i); },
                                             [&] {
                                                 // Into the slots of the two stages before, which all threads
                                                 // have left.
                                                 for (int i = 0; i < kCount; ++i) load(stage + i + kAhead);
                                             });
    };
    load_first_stages<T>(loader, begin, kAhead, end, slot);
    int stage = begin;
    for (int part = work.first_part; part <= work.last_part; ++part) {
        const int end_of_part = work.begin_of(part + 1);
        for (; stage + 1 < end_of_part; stage += 2) multiply.template operator()<2>(stage);
        if (stage < end_of_part) multiply.template operator()<1>(stage++);
        const int hidden_zero = stage - end_of_part;
        multiplier.end_part(sum_rows(batch, work.tile, work.piece), part > work.first_part, hidden_zero);
    }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads) multiply_codes(const __grid_constant__ Batch batch) {
    if constexpr (kHasWgmma) multiply_block_of_codes<T>(batch);
}

template <int Warpgroups, int Rows>
void launch_codes(const Batch& batch, const Execution& execution) {
    using T = WarpgroupTile<Warpgroups, Rows, 6, true>;
    launch_tiles<Format::Fp8, T>(multiply_codes<T>, batch, execution);
}

}  // namespace

void multiply_wgmma_codes(const Batch& batch, const Execution& execution) {
    const int rows = batch.likely_rows;
    if (rows <= 8) return launch_codes<1, 8>(batch, execution);
    if (rows <= 16) return launch_codes<1, 16>(batch, execution);
    if (rows <= 32) return launch_codes<1, 32>(batch, execution);
    if (rows <= kMostRowsOfSmallTiles) return launch_codes<1, 64>(batch, execution);
    launch_codes<2, kLargeTile>(batch, execution);
}

}  // namespace sluice::kernels::cuda
