#include "bench/kernel_bench.hpp"
#include "kernels/rms_norm_cases.hpp"

namespace sluice::bench {
namespace {

// A sum and a norm a value, and perhaps the norm of what is added.
Traffic traffic_of(const SeamArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    const bool post = args.post_gain != nullptr;
    return {16 * values + (post ? 8 : 4) * static_cast<double>(args.dim), (post ? 9 : 5) * values};
}

SeamArgs on_device(const SeamArgs& args, DeviceArrays& arrays) {
    SeamArgs there = args;
    const std::int64_t values = args.rows * args.dim;
    there.x = arrays.of(args.x, values);
    there.delta = arrays.of(args.delta, values);
    there.post_gain = arrays.of(args.post_gain, args.dim);
    there.next_gain = arrays.of(args.next_gain, args.dim);
    there.out = arrays.of(args.out, values);
    return there;
}

const Measure<SeamArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::SeamCall>("seam", test::seam_cases(), measure);
const bool known_v3 = register_v3<test::SeamCall>(
    "seam", std::vector<test::SeamCase>{{.rows = 4096, .dim = 7168, .large = true}}, measure);

}  // namespace
}  // namespace sluice::bench
