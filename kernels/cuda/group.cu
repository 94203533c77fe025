#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

// A block for each local expert, and one more for the pairs of other experts and the end. It counts the pairs
// that come before its own and then places these: so blocks need nothing of one another, at the price of
// reading all choices in each (128 KiB for 4096 tokens of 8).
//
// A warp takes consecutive pairs, 32 at a time, so that ballots give their order.
__global__ void __launch_bounds__(kMostThreads) group_expert(GroupArgs args) {
    join_stream();
    struct Shared {
        int before[kMostWarps], own[kMostWarps];
    };
    Shared& counts = shared<Shared>();
    const std::int64_t pairs = args.rows * args.top_k;
    const int warps = static_cast<int>(blockDim.x) / kWarp, warp = warp_of_thread(), lane = lane_of_thread();
    const std::int64_t per_warp = (pairs + warps * kWarp - 1) / (warps * kWarp) * kWarp;
    const std::int64_t begin = warp * per_warp, end = begin + per_warp < pairs ? begin + per_warp : pairs;
    const auto mine = static_cast<std::int32_t>(blockIdx.x);
    const auto local = [&](std::int64_t pair) {  // count: another rank's expert, or no pair
        const std::int32_t e = pair < end ? args.expert[pair] - args.first : -1;
        return e >= 0 && e < args.count ? e : args.count;
    };

    int before = 0, own = 0;
    for (std::int64_t at = begin; at < end; at += kWarp) {
        const std::int32_t e = local(at + lane);
        before += __popc(__ballot_sync(kAllLanes, e < mine));
        own += __popc(__ballot_sync(kAllLanes, e == mine));
    }
    if (lane == 0) {
        counts.before[warp] = before;
        counts.own[warp] = own;
    }
    __syncthreads();
    std::int32_t next = 0;  // where this warp's first pair goes
    for (int w = 0; w < warps; ++w) next += counts.before[w];
    if (threadIdx.x == 0) args.offsets[mine] = next;
    if (mine == args.count) {
        for (std::int64_t pair = begin + lane; pair < end; pair += kWarp) {
            if (local(pair) == args.count) args.place[pair] = -1;
        }
        return;
    }
    for (int w = 0; w < warp; ++w) next += counts.own[w];
    for (std::int64_t at = begin; at < end; at += kWarp) {
        const bool is_mine = local(at + lane) == mine;
        const unsigned all = __ballot_sync(kAllLanes, is_mine);
        if (is_mine) {
            const std::int32_t place = next + __popc(all & ((1U << lane) - 1));
            args.place[at + lane] = place;
            args.token[place] = static_cast<std::int32_t>((at + lane) / args.top_k);
        }
        next += __popc(all);
    }
}

}  // namespace

void run_group(const GroupArgs& args, const Execution& execution) {
    const std::int64_t pairs = args.rows * args.top_k;
    const std::int64_t threads =
        std::clamp<std::int64_t>((pairs + kWarp - 1) / kWarp * kWarp, kWarp, kMostThreads);
    launch(group_expert, static_cast<unsigned>(args.count) + 1, static_cast<unsigned>(threads), 0, execution,
           args);
}

}  // namespace sluice::kernels::cuda
