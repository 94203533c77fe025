#include "kernels/cpu/run.hpp"

#include <algorithm>

namespace sluice::kernels::cpu {

// A counting sort; pairs are visited by token, so tokens ascend within an expert.
void run_group(const GroupArgs& args, const Execution&) {
    const std::int64_t pairs = args.rows * args.top_k;
    const auto local = [&](std::int64_t pair) {
        const std::int32_t e = args.expert[pair] - args.first;
        return e >= 0 && e < args.count ? e : -1;
    };
    // offsets[e + 1] counts expert e, then holds where the next pair of expert e goes, and ends as e's end.
    std::fill_n(args.offsets, args.count + 1, 0);
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const std::int32_t e = local(pair);
        if (e >= 0) ++args.offsets[e + 1];
    }
    std::int32_t begin = 0;
    for (std::int32_t e = 0; e < args.count; ++e) {
        const std::int32_t size = args.offsets[e + 1];
        args.offsets[e + 1] = begin;
        begin += size;
    }
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
        const std::int32_t e = local(pair);
        args.place[pair] = e < 0 ? -1 : args.offsets[e + 1]++;
        if (e >= 0) args.token[args.place[pair]] = static_cast<std::int32_t>(pair / args.top_k);
    }
}

}  // namespace sluice::kernels::cpu
