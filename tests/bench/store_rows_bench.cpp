#include "bench/kernel_bench.hpp"
#include "kernels/store_rows_cases.hpp"

#include <algorithm>

namespace sluice::bench {
namespace {

// Four products and two sums a rotated pair.
Traffic traffic_of(const StoreRowsArgs& args) {
    const RotatedHeads& heads = args.rotated;
    const auto values = static_cast<double>(args.rows * args.width);
    return {(4 + static_cast<double>(size_of(args.page_dtype))) * values +
                4 * static_cast<double>(args.rows * heads.dim),
            3 * static_cast<double>(args.rows * heads.count * heads.dim)};
}

StoreRowsArgs on_device(const StoreRowsArgs& args, DeviceArrays& arrays) {
    StoreRowsArgs there = args;
    const auto slots = std::int64_t{*std::max_element(args.slots, args.slots + args.rows)} + 1;
    const std::int64_t bytes = ((slots - 1) * args.page_row_stride + args.width) *
                               static_cast<std::int64_t>(size_of(args.page_dtype));
    there.x = arrays.of(args.x, args.rows * args.x_stride);
    there.slots = arrays.of(args.slots, args.rows);
    there.pages = arrays.of(static_cast<std::byte*>(args.pages), bytes);
    const auto last = std::max_element(args.rotated.positions, args.rotated.positions + args.rows);
    there.rotated.positions = arrays.of(args.rotated.positions, args.rows);
    there.rotated.table = arrays.of(args.rotated.table, (*last + 1) * args.rotated.dim);
    return there;
}

const Measure<StoreRowsArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::StoreRowsCall>("store_rows", test::store_rows_cases(), measure);
const bool known_v3 = register_v3<test::StoreRowsCall>(
    "store_rows",
    std::vector<test::StoreRowsCase>{
        {.rows = 4096, .width = 576, .heads = 1, .column = 512, .dim = 64, .large = true}},
    measure);

}  // namespace
}  // namespace sluice::bench
