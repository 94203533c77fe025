#include "bench/kernel_bench.hpp"
#include "kernels/add_bias_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const BiasArgs& args) {
    const auto values = static_cast<double>(args.rows * args.width);
    return {8 * values + 4 * static_cast<double>(args.width), values};
}

BiasArgs on_device(const BiasArgs& args, DeviceArrays& arrays) {
    BiasArgs there = args;
    there.bias = arrays.of(args.bias, args.width);
    there.x = arrays.of(args.x, args.rows * args.x_stride);
    return there;
}

const Measure<BiasArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::AddBiasCall>("add_bias", test::add_bias_cases(), measure);

}  // namespace
}  // namespace sluice::bench
