#include "bench/kernel_bench.hpp"
#include "kernels/rope_cases.hpp"

#include <algorithm>

namespace sluice::bench {
namespace {

// Four products and two sums a pair.
Traffic traffic_of(const RopeArgs& args) {
    const auto values = static_cast<double>(args.rows * args.heads * args.dim);
    return {8 * values + 4 * static_cast<double>(args.rows * args.dim), 3 * values};
}

RopeArgs on_device(const RopeArgs& args, DeviceArrays& arrays) {
    RopeArgs there = args;
    // Behind the last head there may be nothing.
    const auto elements = [&](std::int64_t row_stride, std::int64_t head_stride) {
        return (args.rows - 1) * row_stride + (args.heads - 1) * head_stride + args.dim;
    };
    const auto last = std::max_element(args.positions, args.positions + args.rows);
    there.x = arrays.of(args.x, elements(args.x_row_stride, args.x_head_stride));
    there.out = arrays.of(args.out, elements(args.out_row_stride, args.out_head_stride));
    there.positions = arrays.of(args.positions, args.rows);
    there.table = arrays.of(args.table, (*last + 1) * args.dim);
    return there;
}

const Measure<RopeArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::RopeCall>("rope", test::rope_cases(), measure);
// DeepSeek-V3's queries.
const bool known_v3 = register_v3<test::RopeCall>(
    "rope",
    std::vector<test::RopeCase>{
        {.rows = 4096, .heads = 128, .dim = 64, .gap = 128, .positions = 4096, .large = true}},
    measure);

}  // namespace
}  // namespace sluice::bench
