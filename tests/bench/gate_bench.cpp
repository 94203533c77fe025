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

const bool known = register_cases<test::GateCall>("gate", test::gate_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
