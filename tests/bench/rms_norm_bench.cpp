#include "bench/kernel_bench.hpp"
#include "kernels/rms_norm_cases.hpp"

namespace sluice::bench {
namespace {

// A square, an addition and two products a value.
Traffic traffic_of(const RmsNormArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    return {8 * values + 4 * static_cast<double>(args.dim), 4 * values};
}

const bool known = register_cases<test::RmsNormCall>("rms_norm", test::rms_norm_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
