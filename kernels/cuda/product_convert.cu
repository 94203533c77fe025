#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/product_place.cuh"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr int kMostThreadsOfBlock = 256;

// As kernels/fp8_rows.hpp.
__device__ __forceinline__ float e4m3_scale(float amax, bool power_of_two) {
    constexpr float kLeast = 448.0F * 0x1p-126F;
    const float scale = (amax > kLeast ? amax : kLeast) / 448.0F;
    const std::uint32_t bits = __float_as_uint(scale);
    if (!power_of_two || bits >= 0x7f800000U) return scale;
    return __uint_as_float((bits + 0x007fffffU) & 0xff800000U);
}

__device__ __forceinline__ float largest_magnitude(const float* x, int begin, int end) {
    float amax = 0;
    for (int k = begin + lane_of_thread(); k < end; k += kWarp) amax = fmaxf(fabsf(x[k]), amax);
    return warp_max(amax);
}

__device__ __forceinline__ const Segment& segment_of(const WeightShape& shape, int stage) {
    int s = 0;
    while (stage >= shape.segment[s].first_stage + shape.segment[s].stages) ++s;
    return shape.segment[s];
}

// The first in the lowest byte.
__device__ __forceinline__ std::uint32_t four_e4m3(const float (&v)[4], float scale) {
    return pack_e4m3(v[0] / scale, v[1] / scale) |
           static_cast<std::uint32_t>(pack_e4m3(v[2] / scale, v[3] / scale)) << 16;
}

// The lane's four values of a stage as bfloat16. Where the weight is codes (`Coded`), k enters a product in
// the order in which these are decoded: of sixteen, lane t of four has 4t, 4t + 1 (where columns 2t, 2t + 1
// of a tile stand) and 4t + 2, 4t + 3.
template <bool Coded>
__device__ __forceinline__ void store_bf16(const float (&v)[4], std::byte* stage) {
    const int lane = lane_of_thread();
    const std::uint32_t low = pack_bf16(v[0], v[1]), high = pack_bf16(v[2], v[3]);
    if constexpr (Coded) {
        auto* sixteen = reinterpret_cast<std::uint32_t*>(stage) + lane / 4 * 8;
        sixteen[lane % 4] = low;
        sixteen[lane % 4 + 4] = high;
    } else {
        reinterpret_cast<uint2*>(stage)[lane] = make_uint2(low, high);
    }
}

// A row's stage a warp.
template <bool Coded, bool CodedRows>
__global__ void __launch_bounds__(kMostThreadsOfBlock) convert(const __grid_constant__ Batch batch) {
    join_stream();
    constexpr Format kFormat = Coded ? Format::Fp8 : Format::Bf16;
    constexpr int kWidth = stage_width(kFormat), kBytes = x_stage_bytes(kFormat, CodedRows);
    const std::int64_t number = blockIdx.x;
    const int stage = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) / kWarp;
    if (stage >= batch.shape.stages) return;
    const bool grouped = batch.offsets != nullptr;
    if (grouped && (number < batch.offsets[0] || number >= batch.offsets[batch.weights])) return;
    const int weight = grouped ? 0 : static_cast<int>(number / batch.rows);

    const Segment& segment = segment_of(batch.shape, stage);
    const float* x = x_row(batch, weight, grouped ? number : number % batch.rows) + segment.first_col;
    const KBlock block = segment.block(segment.block_of(stage - segment.first_stage));
    float scale = 1;
    if (Coded && batch.shape.products == Products::Fp8)
        scale =
            e4m3_scale(largest_magnitude(x, block.first_col, block.end_col), batch.shape.power_of_two_scales);

    const int lane = lane_of_thread();
    std::byte* out = batch.converted + number * batch.shape.stages * kBytes + std::int64_t{stage} * kBytes;
    if (Coded && lane == 0) *reinterpret_cast<float4*>(out + kBytes - 16) = make_float4(scale, 0, 0, 0);
    if (4 * lane >= kWidth) return;
    const int first = block.first_col + (stage - segment.first_stage - block.first_stage) * kWidth + 4 * lane;
    float v[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = first + j < block.end_col ? x[first + j] : 0.0F;
    if constexpr (CodedRows) {
        reinterpret_cast<std::uint32_t*>(out)[lane] = four_e4m3(v, scale);
    } else {
        if (Coded && batch.shape.products == Products::Fp8) {
            const std::uint32_t codes = four_e4m3(v, scale);
#pragma unroll
            for (int j = 0; j < 4; ++j) v[j] = e4m3_to_float(static_cast<fp8>(codes >> 8 * j));
        }
        store_bf16<Coded>(v, out);
    }
}

}  // namespace

void convert_rows(const Batch& batch, const Execution& execution) {
    const int threads = std::min(batch.shape.stages * kWarp, kMostThreadsOfBlock);
    const dim3 grid(static_cast<unsigned>(batch.all_rows()), blocks_of(batch.shape.stages * kWarp, threads));
    const auto kernel = batch.coded_rows               ? convert<true, true>
                        : is_coded(batch.shape.format) ? convert<true, false>
                                                       : convert<false, false>;
    launch(kernel, grid, static_cast<unsigned>(threads), 0, execution, batch);
}

}  // namespace sluice::kernels::cuda
