#include "kernels/reference/run.hpp"

#include <cmath>
#include <numbers>

namespace sluice::kernels::reference {
namespace {

double activate(double x, Activation activation) {
    if (activation == Activation::Silu) return x / (1 + std::exp(-x));
    // x (1 + tanh u) / 2, without the cancellation where tanh u is near -1.
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(-2 * u));
}

}  // namespace

void run_gate(const GateArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const float* gate = args.x + r * 2 * args.width;
        const float* up = gate + args.width;
        for (std::int64_t i = 0; i < args.width; ++i) {
            args.out[r * args.width + i] = static_cast<float>(activate(gate[i], args.activation) * up[i]);
        }
    }
}

}  // namespace sluice::kernels::reference
