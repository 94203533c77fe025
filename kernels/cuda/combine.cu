#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {
namespace {

constexpr int kTreeLevels = 7;
static_assert(kMostSlices < 1 << kTreeLevels);

// The host's small array, by value.
struct FirstExperts {
    std::int32_t of[kMostSlices + 1];
};

// A row's choices, for all threads of a block: the slice (-1: none) that an expert belongs to.
struct Choices {
    std::int32_t slice[kMostChoices];
    std::int32_t place[kMostChoices];
    float weight[kMostChoices];
};

__device__ __forceinline__ void find_choices(const CombineArgs& args, const FirstExperts& first,
                                             std::int64_t r, Choices& choices) {
    for (std::int64_t j = threadIdx.x; j < args.top_k; j += blockDim.x) {
        const std::int32_t expert = args.expert[r * args.top_k + j];
        std::int32_t slice = -1;
        for (int s = 0; s < args.slices; ++s) {
            if (expert >= first.of[s] && expert < first.of[s + 1]) slice = s;
        }
        choices.slice[j] = slice;
        choices.place[j] = args.place[r * args.top_k + j];
        choices.weight[j] = args.weight[r * args.top_k + j];
    }
    __syncthreads();
}

template <bool Whole>
__device__ __forceinline__ Quad slice_quad(const CombineArgs& args, const Choices& choices, std::int64_t r,
                                           std::int64_t i, int s) {
    Quad sum = {};
    if (args.base != nullptr) sum = load_quad<Whole>(args.base + (s * args.rows + r) * args.dim, i, args.dim);
    for (int j = 0; j < args.top_k; ++j) {
        if (choices.slice[j] != s) continue;
        const Quad x = load_quad<Whole>(args.expert_rows + choices.place[j] * args.dim, i, args.dim);
#pragma unroll
        for (int n = 0; n < 4; ++n) sum.v[n] = __fmaf_rn(choices.weight[j], x.v[n], sum.v[n]);
    }
    return sum;
}

__device__ __forceinline__ Quad plus(const Quad& a, const Quad& b) {
    Quad sum;
#pragma unroll
    for (int n = 0; n < 4; ++n) sum.v[n] = a.v[n] + b.v[n];
    return sum;
}

// The tree over slices as a binary counter: pending[l] is the sum of 2^l neighbours whose right-hand
// neighbour is to come; at the end what is pending is added from the right.
template <bool Whole>
__global__ void combine_rows(CombineArgs args, FirstExperts first) {
    join_stream();
    const std::int64_t r = grid_row(), i = grid_column();
    Choices& choices = shared<Choices>();
    find_choices(args, first, r, choices);
    if (i >= args.dim) return;
    Quad pending[kTreeLevels];
    for (int s = 0; s < args.slices; ++s) {
        Quad sum = slice_quad<Whole>(args, choices, r, i, s);
        bool carried = true;
#pragma unroll
        for (int level = 0; level < kTreeLevels;
             ++level) {  // levels known in advance: they stay in registers
            if (!carried) continue;
            carried = (s >> level & 1) != 0;
            if (carried)
                sum = plus(pending[level], sum);
            else
                pending[level] = sum;
        }
    }
    Quad total = {};
    bool some = false;
#pragma unroll
    for (int level = 0; level < kTreeLevels; ++level) {
        if ((args.slices >> level & 1) == 0) continue;
        total = some ? plus(pending[level], total) : pending[level];
        some = true;
    }
    store_quad<Whole>(args.out + r * args.dim, i, args.dim, total);
}

}  // namespace

void run_combine(const CombineArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    FirstExperts first = {};
    for (int s = 0; s <= args.slices && args.first_expert != nullptr; ++s) first.of[s] = args.first_expert[s];
    bool whole = in_quads(args.out, args.dim, args.dim);
    for (const float* rows : {args.base, args.expert_rows})
        whole = whole && (rows == nullptr || in_quads(rows, args.dim, args.dim));
    const ColumnGrid size = column_grid(args.rows, args.dim);
    launch(whole ? combine_rows<true> : combine_rows<false>, size.grid, size.block, 0, execution, args,
           first);
}

}  // namespace sluice::kernels::cuda
