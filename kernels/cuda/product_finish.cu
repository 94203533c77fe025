#include "kernels/cuda/activate.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/product_place.cuh"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr int kMostThreadsOfRow = 256;
constexpr int kTreeLevels = 6;
static_assert(kMostSegments < 1 << kTreeLevels);

// Output n of one segment: its parts' sums, in order.
__device__ __forceinline__ float segment_sum(const Batch& batch, std::int64_t number, int segment, int n) {
    const WeightShape& shape = batch.shape;
    const std::int64_t apart = std::int64_t{batch.all_rows()} * shape.rows;
    const float* sums = batch.sums + segment * batch.sums_of_segment() * apart + number * shape.rows + n;
    float sum = sums[0];
    for (int i = 1; i < batch.sums_of_segment(); ++i) sum += sums[i * apart];
    return sum;
}

// The segments' sums as CombineArgs adds slices: a binary counter, of which pending[l] is the sum of 2^l
// neighbours whose right-hand neighbour is to come.
__device__ __forceinline__ float tree_sum(const Batch& batch, std::int64_t number, int n) {
    const int segments = batch.shape.segments;
    float pending[kTreeLevels];
    for (int s = 0; s < segments; ++s) {
        float sum = segment_sum(batch, number, s, n);
        bool carried = true;
#pragma unroll
        for (int level = 0; level < kTreeLevels; ++level) {
            if (!carried) continue;
            carried = (s >> level & 1) != 0;
            if (carried)
                sum = pending[level] + sum;
            else
                pending[level] = sum;
        }
    }
    float total = 0;
    bool some = false;
#pragma unroll
    for (int level = 0; level < kTreeLevels; ++level) {
        if ((segments >> level & 1) == 0) continue;
        total = some ? pending[level] + total : pending[level];
        some = true;
    }
    return total;
}

__global__ void __launch_bounds__(kMostThreadsOfRow) finish(const __grid_constant__ Batch batch) {
    join_stream();
    const std::int64_t number = blockIdx.x;
    const bool grouped = batch.offsets != nullptr;
    if (grouped && (number < batch.offsets[0] || number >= batch.offsets[batch.weights])) return;
    const std::int64_t weight = grouped ? 0 : number / batch.rows;
    const std::int64_t row = grouped ? number : number % batch.rows;
    float* out = batch.out + weight * batch.out_weight_stride + row * batch.out_stride;
    const int n = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    const bool gated = batch.outputs == Outputs::Gated;
    const int width = gated ? batch.shape.rows / 2 : batch.shape.rows;
    if (n >= width) return;
    if (gated) {
        const float gate = segment_sum(batch, number, 0, n), gates = segment_sum(batch, number, 0, n + width);
        const bool silu = batch.activation == Activation::Silu;
        out[n] = (silu ? activate<Activation::Silu>(gate) : activate<Activation::GeluTanh>(gate)) * gates;
    } else if (batch.outputs == Outputs::SummedSegments) {
        out[n] = tree_sum(batch, number, n);
    } else {
        for (int s = 0; s < batch.shape.segments; ++s)
            out[s * batch.out_segment_stride + n] = segment_sum(batch, number, s, n);
    }
}

}  // namespace

void finish_rows(const Batch& batch, const Execution& execution) {
    const int width = batch.outputs == Outputs::Gated ? batch.shape.rows / 2 : batch.shape.rows;
    const int threads = std::min((width + kWarp - 1) / kWarp * kWarp, kMostThreadsOfRow);
    const dim3 grid(static_cast<unsigned>(batch.all_rows()), blocks_of(width, threads));
    launch(finish, grid, static_cast<unsigned>(threads), 0, execution, batch);
}

}  // namespace sluice::kernels::cuda
