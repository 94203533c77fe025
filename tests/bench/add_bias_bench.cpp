#include "bench/kernel_bench.hpp"
#include "kernels/add_bias_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const BiasArgs& args) {
    const auto values = static_cast<double>(args.rows * args.width);
    return {8 * values + 4 * static_cast<double>(args.width), values};
}

const bool known = register_cases<test::AddBiasCall>("add_bias", test::add_bias_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
