#include "bench/kernel_bench.hpp"
#include "kernels/expert_product_cases.hpp"

namespace sluice::bench {
namespace {

// The weights of the experts that have rows once, each row's activations and outputs as they come.
Traffic traffic_of(const ExpertProductArgs& args) {
    Traffic traffic;
    for (std::size_t e = 0; e < args.experts.size(); ++e) {
        const auto rows = static_cast<double>(args.offsets[e + 1] - args.offsets[e]);
        if (rows == 0) continue;
        const PackedWeight& weight = *args.experts[e];
        const auto n = static_cast<double>(weight.rows), k = static_cast<double>(weight.cols);
        traffic.bytes += static_cast<double>(weight.bytes) + 4 * rows * (k + n / 2);
        traffic.flops += 2 * rows * n * k;
    }
    return traffic;
}

const bool known =
    register_cases<test::ExpertProductCall>("expert_product", test::expert_product_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
