#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_group(const GroupArgs& args, const Execution&) {
    std::int32_t grouped = 0;
    for (std::int64_t pair = 0; pair < args.rows * args.top_k; ++pair) args.place[pair] = -1;
    for (std::int32_t e = 0; e < args.count; ++e) {
        args.offsets[e] = grouped;
        for (std::int64_t pair = 0; pair < args.rows * args.top_k; ++pair) {
            if (args.expert[pair] != args.first + e) continue;
            args.token[grouped] = static_cast<std::int32_t>(pair / args.top_k);
            args.place[pair] = grouped++;
        }
    }
    args.offsets[args.count] = grouped;
}

}  // namespace sluice::kernels::reference
