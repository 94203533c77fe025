#include "bench/kernel_bench.hpp"
#include "kernels/expert_product_cases.hpp"

#include <algorithm>

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

ExpertProductArgs on_device(const ExpertProductArgs& args, DeviceArrays& arrays) {
    ExpertProductArgs there = args;
    const auto* last = std::max_element(args.tokens, args.tokens + args.most_rows);
    there.x = arrays.of(args.x, (*last + 1) * args.x_stride);
    there.tokens = arrays.of(args.tokens, args.most_rows);
    there.offsets = arrays.of(args.offsets, std::ssize(args.experts) + 1);
    there.out = arrays.of(args.out, args.most_rows * args.out_stride);
    return there;
}

const Measure<ExpertProductArgs> measure{traffic_of, on_device};
const bool known =
    register_cases<test::ExpertProductCall>("expert_product", test::expert_product_cases(), measure);
// All experts of a layer, of which 128 tokens choose eight each: gate and up, and a matrix of down's size.
std::vector<test::ExpertProductCase> v3_cases() {
    test::ExpertProductCase gate_up{
        .rows = 128, .top_k = 8, .experts = 256, .n = 4096, .k = 7168, .large = true};
    test::ExpertProductCase down = gate_up;
    down.n = 7168;
    down.k = 2048;
    std::vector<test::ExpertProductCase> cases = {gate_up, down};
    gate_up.products = down.products = Products::Bf16;
    cases.insert(cases.end(), {gate_up, down});
    return cases;
}
const bool known_v3 = register_v3<test::ExpertProductCall>("expert_product", v3_cases(), measure);

}  // namespace
}  // namespace sluice::bench
