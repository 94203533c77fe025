#include "bench/kernel_bench.hpp"
#include "kernels/rope_cases.hpp"

namespace sluice::bench {
namespace {

// Four products and two sums a pair.
Traffic traffic_of(const RopeArgs& args) {
    const auto values = static_cast<double>(args.rows * args.heads * args.dim);
    return {8 * values + 4 * static_cast<double>(args.rows * args.dim), 3 * values};
}

const bool known = register_cases<test::RopeCall>("rope", test::rope_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
