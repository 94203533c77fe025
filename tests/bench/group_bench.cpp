#include "bench/kernel_bench.hpp"
#include "kernels/group_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const GroupArgs& args) {
    return {12 * static_cast<double>(args.rows * args.top_k) + 4 * args.count, 0};
}

const bool known = register_cases<test::GroupCall>("group", test::group_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
