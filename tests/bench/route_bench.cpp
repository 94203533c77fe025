#include "bench/kernel_bench.hpp"
#include "kernels/route_cases.hpp"

namespace sluice::bench {
namespace {

// An exponential a score. What selecting takes depends on the scores.
Traffic traffic_of(const RouteArgs& args) {
    const auto scores = static_cast<double>(args.rows * args.spec.experts);
    return {4 * scores + 8 * static_cast<double>(args.rows * args.spec.top_k), kExponential * scores};
}

RouteArgs on_device(const RouteArgs& args, DeviceArrays& arrays) {
    RouteArgs there = args;
    const std::int64_t chosen = args.rows * args.spec.top_k;
    there.logits = arrays.of(args.logits, args.rows * args.spec.experts);
    there.bias = arrays.of(args.bias, args.spec.experts);
    there.expert = arrays.of(args.expert, chosen);
    there.weight = arrays.of(args.weight, chosen);
    return there;
}

const Measure<RouteArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::RouteCall>("route", test::route_cases(), measure);
const RouterSpec router{RouterSpec::Score::Sigmoid, 256, 8, 8, 4, true, 2.5F};
const bool known_v3 = register_v3<test::RouteCall>(
    "route", std::vector<test::RouteCase>{{.spec = router, .biased = true, .rows = 4096, .large = true}},
    measure);

}  // namespace
}  // namespace sluice::bench
