#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {
namespace {

constexpr int kWarpsOfBlock = 4;
constexpr float kNever = -__builtin_huge_valf();

// What a warp keeps of its row beside registers.
struct RowMemory {
    float keys[kMostExperts];
    float group_keys[kMostExperts];
    float chosen[kMostExperts];  // scores
};

// Unsigned numbers in the order of floats that are not NaN; all above 0, and equal for -0 and +0.
__device__ __forceinline__ unsigned ordered(float key) {
    const unsigned bits = __float_as_uint(key + 0.0F);
    return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// Expert lane + 32 i of a row is value i of a lane.
template <int Each>
struct Scores {
    float score[Each], key[Each];
};

template <int Each>
__device__ __forceinline__ void score_row(const RouteArgs& args, std::int64_t r, int lane, Scores<Each>& s) {
    const float* logits = args.logits + r * args.spec.experts;
    float best = kNever;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        const int e = lane + i * kWarp;
        s.score[i] = e < args.spec.experts ? logits[e] : kNever;
        best = fmaxf(best, s.score[i]);
    }
    if (args.spec.score == RouterSpec::Score::Sigmoid) {
#pragma unroll
        for (int i = 0; i < Each; ++i) s.score[i] = sigmoid(s.score[i]);
    } else {
        best = warp_max(best);
        double sum = 0;
#pragma unroll
        for (int i = 0; i < Each; ++i) {
            s.score[i] = exponential(s.score[i] - best);
            if (lane + i * kWarp < args.spec.experts) sum += s.score[i];
        }
        sum = warp_sum(sum);
#pragma unroll
        for (int i = 0; i < Each; ++i) s.score[i] = static_cast<float>(s.score[i] / sum);
    }
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        const int e = lane + i * kWarp;
        const float key =
            args.bias != nullptr && e < args.spec.experts ? s.score[i] + args.bias[e] : s.score[i];
        s.key[i] = key == key ? key : kNever;
    }
}

// A group's key: its best expert's, or with a bias the sum of its two best.
__device__ __forceinline__ float group_key(const float* keys, int size, bool biased) {
    float best = kNever, second = kNever;
    for (int e = 0; e < size; ++e) {
        second = fmaxf(second, fminf(best, keys[e]));
        best = fmaxf(best, keys[e]);
    }
    return biased && size > 1 ? best + second : best;
}

// Experts of closed groups get no place in the order: ranks[i] = 0.
template <int Each>
__device__ __forceinline__ void close_groups(const RouteArgs& args, int lane, const Scores<Each>& s,
                                             RowMemory& memory, unsigned (&ranks)[Each]) {
    const RouterSpec& spec = args.spec;
    const int size = spec.experts / spec.groups;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        if (lane + i * kWarp < spec.experts) memory.keys[lane + i * kWarp] = s.key[i];
    }
    __syncwarp();
    for (int g = lane; g < spec.groups; g += kWarp)
        memory.group_keys[g] = group_key(memory.keys + g * size, size, args.bias != nullptr);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        const int own = (lane + i * kWarp) / size;
        if (own >= spec.groups) continue;
        int better = 0;
        for (int g = 0; g < spec.groups; ++g) {
            const float key = memory.group_keys[g], mine = memory.group_keys[own];
            better += key > mine || (key == mine && g < own);
        }
        if (better >= spec.top_groups) ranks[i] = 0;
    }
}

// Takes the best expert out of the order, the lower of equal ones; true for the lane and value that it is.
template <int Each>
__device__ __forceinline__ void take_best(int lane, unsigned (&ranks)[Each], unsigned& taken) {
    unsigned best = 0;
    int at = 0;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        if (ranks[i] <= best) continue;
        best = ranks[i];
        at = i;
    }
    const unsigned most = __reduce_max_sync(kAllLanes, best);
    const auto expert = static_cast<unsigned>(lane + at * kWarp);
    const unsigned winner = __reduce_min_sync(kAllLanes, best == most ? expert : 0xffffffffU);
    if (winner != expert || best != most) return;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        if (i == at) ranks[i] = 0;
    }
    taken |= 1U << at;
}

// A warp a row.
template <int Each>
__global__ void __launch_bounds__(kWarpsOfBlock* kWarp) route_rows(RouteArgs args) {
    join_stream();
    struct Shared {
        RowMemory rows[kWarpsOfBlock];
    };
    const int lane = lane_of_thread();
    const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * kWarpsOfBlock + warp_of_thread();
    if (r >= args.rows) return;
    const RouterSpec& spec = args.spec;
    RowMemory& memory = shared<Shared>().rows[warp_of_thread()];
    Scores<Each> s;
    score_row(args, r, lane, s);
    unsigned ranks[Each];
#pragma unroll
    for (int i = 0; i < Each; ++i) ranks[i] = lane + i * kWarp < spec.experts ? ordered(s.key[i]) : 0;
    if (spec.top_groups < spec.groups) close_groups(args, lane, s, memory, ranks);
    unsigned taken = 0;  // bit i: this lane's value i
    for (int k = 0; k < spec.top_k; ++k) take_best(lane, ranks, taken);

    // The chosen, ascending: value i of every lane comes before value i + 1 of any.
    std::int32_t* expert = args.expert + r * spec.top_k;
    int before = 0;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
        const bool chosen = (taken >> i & 1U) != 0;
        const unsigned all = __ballot_sync(kAllLanes, chosen);
        if (chosen) {
            const int k = before + __popc(all & ((1U << lane) - 1));
            expert[k] = lane + i * kWarp;
            memory.chosen[k] = s.score[i];
        }
        before += __popc(all);
    }
    __syncwarp();
    float sum = 0;
    for (int k = 0; k < spec.top_k; ++k) sum += memory.chosen[k];
    const float divisor = spec.renormalize ? sum + 1e-20F : 1.0F;  // as the published models: never by zero
    for (int k = lane; k < spec.top_k; k += kWarp)
        args.weight[r * spec.top_k + k] = memory.chosen[k] / divisor * spec.scale;
}

}  // namespace

void run_route(const RouteArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    const auto kernel = args.spec.experts <= 2 * kWarp   ? route_rows<2>
                        : args.spec.experts <= 8 * kWarp ? route_rows<8>
                                                         : route_rows<kMostExperts / kWarp>;
    launch(kernel, blocks_of(args.rows, kWarpsOfBlock), kWarpsOfBlock * kWarp, 0, execution, args);
}

}  // namespace sluice::kernels::cuda
