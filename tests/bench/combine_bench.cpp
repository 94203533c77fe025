#include "bench/kernel_bench.hpp"
#include "kernels/combine_cases.hpp"

namespace sluice::bench {
namespace {

// Every choice is of a local expert in these cases.
Traffic traffic_of(const CombineArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    const auto choices = static_cast<double>(args.top_k);
    const double base = args.base != nullptr ? args.slices : 0;
    return {4 * values * (base + choices + 1), values * (2 * choices + args.slices - 1)};
}

const bool known = register_cases<test::CombineCall>("combine", test::combine_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
