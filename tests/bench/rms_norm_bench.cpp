#include "bench/kernel_bench.hpp"
#include "kernels/rms_norm_cases.hpp"

namespace sluice::bench {
namespace {

// A square, an addition and two products a value.
Traffic traffic_of(const RmsNormArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    return {8 * values + 4 * static_cast<double>(args.dim), 4 * values};
}

RmsNormArgs on_device(const RmsNormArgs& args, DeviceArrays& arrays) {
    RmsNormArgs there = args;
    there.x = arrays.of(args.x, args.rows * args.x_stride);
    there.gain = arrays.of(args.gain, args.dim);
    there.out = arrays.of(args.out, args.rows * args.out_stride);
    return there;
}

const Measure<RmsNormArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::RmsNormCall>("rms_norm", test::rms_norm_cases(), measure);
const bool known_v3 = register_v3<test::RmsNormCall>(
    "rms_norm", std::vector<test::RmsNormCase>{{.rows = 4096, .dim = 7168, .large = true}}, measure);

}  // namespace
}  // namespace sluice::bench
