#include "bench/kernel_bench.hpp"
#include "kernels/gate_cases.hpp"

namespace sluice::bench {
namespace {

// An exponential, a quotient and a few products a value.
Traffic traffic_of(const GateArgs& args) {
    const auto values = static_cast<double>(args.rows * args.width);
    const double polynomial = args.activation == Activation::GeluTanh ? 4 : 0;
    return {12 * values, (kExponential + 4 + polynomial) * values};
}

GateArgs on_device(const GateArgs& args, DeviceArrays& arrays) {
    GateArgs there = args;
    there.x = arrays.of(args.x, args.rows * 2 * args.width);
    there.out = arrays.of(args.out, args.rows * args.width);
    return there;
}

const Measure<GateArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::GateCall>("gate", test::gate_cases(), measure);
const bool known_v3 = register_v3<test::GateCall>(
    "gate", std::vector<test::GateCase>{{.rows = 4096, .width = 2048, .large = true}}, measure);

}  // namespace
}  // namespace sluice::bench
