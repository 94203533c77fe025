#include "bench/kernel_bench.hpp"
#include "kernels/group_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const GroupArgs& args) {
    return {12 * static_cast<double>(args.rows * args.top_k) + 4 * args.count, 0};
}

GroupArgs on_device(const GroupArgs& args, DeviceArrays& arrays) {
    GroupArgs there = args;
    const std::int64_t pairs = args.rows * args.top_k;
    there.expert = arrays.of(args.expert, pairs);
    there.token = arrays.of(args.token, pairs);
    there.offsets = arrays.of(args.offsets, args.count + 1);
    there.place = arrays.of(args.place, pairs);
    return there;
}

const Measure<GroupArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::GroupCall>("group", test::group_cases(), measure);
const bool known_v3 = register_v3<test::GroupCall>(
    "group",
    std::vector<test::GroupCase>{{.rows = 4096, .top_k = 8, .count = 256, .experts = 256, .large = true}},
    measure);

}  // namespace
}  // namespace sluice::bench
