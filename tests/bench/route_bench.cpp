#include "bench/kernel_bench.hpp"
#include "kernels/route_cases.hpp"

namespace sluice::bench {
namespace {

// An exponential a score. What selecting takes depends on the scores.
Traffic traffic_of(const RouteArgs& args) {
    const auto scores = static_cast<double>(args.rows * args.spec.experts);
    return {4 * scores + 8 * static_cast<double>(args.rows * args.spec.top_k), kExponential * scores};
}

const bool known = register_cases<test::RouteCall>("route", test::route_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
