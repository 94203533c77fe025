// Products in float32, of the router: few outputs, so that a block's threads share k.
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/product_place.cuh"
#include "kernels/cuda/shared.cuh"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr int kMostThreadsOfBlock = 256;
constexpr int kOutputs = 4;  // of a block

__device__ __forceinline__ float value_of(float value) { return value; }
__device__ __forceinline__ float value_of(bf16 value) { return to_float(value); }

// The warp's sums of each value, added as warp_sum() adds: at every level, a lane hands over half of the
// values that it still holds, until v[0] is all that it has.
template <int kApart, int kValues>
__device__ __forceinline__ void sum_over_lanes(float (&v)[kValues]) {
    constexpr int kKept = kValues * kApart / kWarp;
    if constexpr (kKept == 0) {
        v[0] += __shfl_xor_sync(kAllLanes, v[0], kApart);
    } else {
        const bool upper = (lane_of_thread() & kApart) != 0;
#pragma unroll
        for (int i = 0; i < kKept; ++i) {
            const float given = __shfl_xor_sync(kAllLanes, upper ? v[i] : v[i + kKept], kApart);
            v[i] = (upper ? v[i + kKept] : v[i]) + given;
        }
    }
    if constexpr (kApart > 1) sum_over_lanes<kApart / 2>(v);
}

// Of n threads, each adds every n-th product of each output in order, a warp its threads' sums, a block its
// warps'.
template <class T, int kRows>
__global__ void __launch_bounds__(kMostThreadsOfBlock) multiply(const __grid_constant__ Batch batch) {
    join_stream();
    struct Shared {
        float sums[kMostThreadsOfBlock / kWarp][kRows * kOutputs];
    };
    Shared& shared_sums = shared<Shared>();
    const WeightShape& shape = batch.shape;
    const int piece = static_cast<int>(blockIdx.z) % shape.segments;
    const RowTile tile =
        find_tile<kRows>(batch, static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.z) / shape.segments);
    if (tile.rows <= 0) return;
    const Segment& segment = shape.segment[piece];
    const int first_output = static_cast<int>(blockIdx.y) * kOutputs;

    const float* x[kRows];
    const T* w[kOutputs];
#pragma unroll
    for (int r = 0; r < kRows; ++r)
        x[r] = x_row(batch, tile.weight, tile.first + min(r, tile.rows - 1)) + segment.first_col;
#pragma unroll
    for (int n = 0; n < kOutputs; ++n) {
        const std::int64_t output = min(first_output + n, shape.rows - 1);
        w[n] = reinterpret_cast<const T*>(batch.weight[tile.weight] + output * shape.row_bytes() +
                                          std::int64_t{segment.first_stage} * kStageBytes);
    }
    float sum[kRows * kOutputs] = {};
    const int threads = static_cast<int>(blockDim.x);
#pragma unroll 4
    for (int k = static_cast<int>(threadIdx.x); k < segment.cols; k += threads) {
        float weights[kOutputs];
#pragma unroll
        for (int n = 0; n < kOutputs; ++n) weights[n] = value_of(w[n][k]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const float value = x[r][k];
#pragma unroll
            for (int n = 0; n < kOutputs; ++n) {
                float& each = sum[r * kOutputs + n];
                each = __fmaf_rn(value, weights[n], each);
            }
        }
    }
    sum_over_lanes<kWarp / 2>(sum);
    constexpr int kLanesOfSum = kWarp / (kRows * kOutputs);
    if (lane_of_thread() % kLanesOfSum == 0)
        shared_sums.sums[warp_of_thread()][lane_of_thread() / kLanesOfSum] = sum[0];
    __syncthreads();
    const int r = static_cast<int>(threadIdx.x) / kOutputs, n = static_cast<int>(threadIdx.x) % kOutputs;
    if (r >= tile.rows || first_output + n >= shape.rows) return;
    float total = 0;
    for (int warp = 0; warp < threads / kWarp; ++warp) total += shared_sums.sums[warp][r * kOutputs + n];
    const SumRows out = sum_rows(batch, tile, piece);
    out.first[r * out.stride + first_output + n] = total;
}

// A matter of the weight's shape, for the order of summation hangs on it.
unsigned threads_of(const WeightShape& shape) {
    int cols = 0;
    for (int s = 0; s < shape.segments; ++s) cols = std::max(cols, shape.segment[s].cols);
    return static_cast<unsigned>(std::min((cols + kWarp - 1) / kWarp * kWarp, kMostThreadsOfBlock));
}

template <class T, int kRows>
void launch_multiply(const Batch& batch, const Execution& execution) {
    const dim3 grid(most_tiles(batch, kRows), blocks_of(batch.shape.rows, kOutputs),
                    static_cast<unsigned>(weights_of_grid(batch) * batch.shape.segments));
    launch(multiply<T, kRows>, grid, threads_of(batch.shape), 0, execution, batch);
}

template <class T>
void multiply_any(const Batch& batch, const Execution& execution) {
    if (batch.rows == 1)
        launch_multiply<T, 1>(batch, execution);
    else
        launch_multiply<T, 8>(batch, execution);
}

}  // namespace

void multiply_f32(const Batch& batch, const Execution& execution) {
    if (batch.shape.format == Format::Bf16)
        multiply_any<bf16>(batch, execution);
    else
        multiply_any<float>(batch, execution);
}

}  // namespace sluice::kernels::cuda
