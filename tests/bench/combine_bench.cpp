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

// first_expert is the host's.
CombineArgs on_device(const CombineArgs& args, DeviceArrays& arrays) {
    CombineArgs there = args;
    const std::int64_t pairs = args.rows * args.top_k;
    there.base = arrays.of(args.base, args.slices * args.rows * args.dim);
    there.expert_rows = arrays.of(args.expert_rows, pairs * args.dim);
    there.expert = arrays.of(args.expert, pairs);
    there.place = arrays.of(args.place, pairs);
    there.weight = arrays.of(args.weight, pairs);
    there.out = arrays.of(args.out, args.rows * args.dim);
    return there;
}

const Measure<CombineArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::CombineCall>("combine", test::combine_cases(), measure);
const bool known_v3 = register_v3<test::CombineCall>(
    "combine", std::vector<test::CombineCase>{{.rows = 4096, .dim = 7168, .top_k = 8, .large = true}},
    measure);

}  // namespace
}  // namespace sluice::bench
