// Sums of a slice's masses, and the token drawn by inverting them: by chunks, then within one. One warp's
// work.
#pragma once

#include "kernels/cuda/vocab_slice.cuh"
#include "kernels/random.hpp"

#include <cuda_runtime.h>

namespace sluice::kernels::cuda {

// A lane's part of `count` values, neighbours all, and the sum of what comes before and through it.
struct RunningSum {
    int begin, end;
    double before, after;

    __device__ double total() const { return __shfl_sync(kAllLanes, after, kWarp - 1); }
};

template <class Value>
__device__ __forceinline__ RunningSum running_sum(int count, const Value& value) {
    const int lane = lane_of_thread(), each = (count + kWarp - 1) / kWarp;
    RunningSum sum;
    sum.begin = lane * each < count ? lane * each : count;
    sum.end = sum.begin + each < count ? sum.begin + each : count;
    double own = 0;
    for (int i = sum.begin; i < sum.end; ++i) own += value(i);
    sum.after = own;
    for (unsigned by = 1; by < kWarp; by *= 2) {
        const double left = __shfl_up_sync(kAllLanes, sum.after, by);
        if (lane >= static_cast<int>(by)) sum.after += left;
    }
    const double left = __shfl_up_sync(kAllLanes, sum.after, 1);
    sum.before = lane > 0 ? left : 0;
    return sum;
}

struct Picked {
    int index;
    double before;
};

// The first value whose running sum is beyond the target. Rounding may leave none; then the last that weighs
// anything is meant. The total must not be 0.
template <class Value>
__device__ __forceinline__ Picked pick(const RunningSum& sum, double target, const Value& value) {
    const bool weighs = sum.after > sum.before;
    const unsigned some = __ballot_sync(kAllLanes, weighs);
    const unsigned beyond = __ballot_sync(kAllLanes, weighs && sum.after > target);
    const int lane =
        beyond != 0 ? __ffs(static_cast<int>(beyond)) - 1 : kWarp - 1 - __clz(static_cast<int>(some));
    Picked picked{0, sum.before};
    if (lane == lane_of_thread()) {
        double passed = sum.before;
        for (int i = sum.begin; i < sum.end && passed <= target; ++i) {
            const double here = value(i);
            if (here <= 0) continue;
            picked = {i, passed};
            passed += here;
        }
    }
    return {__shfl_sync(kAllLanes, picked.index, lane), __shfl_sync(kAllLanes, picked.before, lane)};
}

// Sums and draws, given the maxima. `stream`: of the row's random numbers.
__device__ __forceinline__ void sum_and_draw(const VocabSlice& slice, const VocabChunk* chunks,
                                             const unsigned* seen, std::uint64_t draw_key,
                                             std::uint64_t stream, VocabSummary& summary) {
    const auto plain_mass = [&](int c) {
        return static_cast<double>(chunks[c].plain_sum) *
               mass(chunks[c].plain_max, summary.plain_max, kLog2E);
    };
    const auto chunk_mass = [&](int c) {
        return static_cast<double>(chunks[c].sum) * mass(chunks[c].max, summary.max, slice.rate);
    };
    const RunningSum sum = running_sum(slice.chunks, chunk_mass);
    const double total = sum.total();
    const double plain_total = slice.is_plain ? total : running_sum(slice.chunks, plain_mass).total();
    summary.finite = total == total && plain_total == plain_total ? 1 : 0;
    summary.drawn = -1;
    summary.drawn_logit = kLowest;
    if (summary.finite == 0) return;
    summary.plain_sum = plain_total;
    summary.sum = total;
    if (total <= 0) return;

    const double target = uniform(draw_key, stream) * total;
    const Picked chunk = pick(sum, target, chunk_mass);
    const int begin = chunk.index * kVocabChunk;
    const int count = slice.count - begin < kVocabChunk ? slice.count - begin : kVocabChunk;
    const VocabChunk& record = chunks[chunk.index];
    const auto token_mass = [&](int i) {
        return static_cast<double>(mass(sampled_logit(slice, seen, begin + i), record.max, slice.rate));
    };
    const double unit = mass(record.max, summary.max, slice.rate);
    const int drawn =
        begin + pick(running_sum(count, token_mass), (target - chunk.before) / unit, token_mass).index;
    summary.drawn = slice.first_id + drawn;
    summary.drawn_logit = slice.raw[drawn];
}

}  // namespace sluice::kernels::cuda
