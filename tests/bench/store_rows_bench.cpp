#include "bench/kernel_bench.hpp"
#include "kernels/store_rows_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const StoreRowsArgs& args) {
    const auto values = static_cast<double>(args.rows * args.width);
    return {(4 + static_cast<double>(size_of(args.page_dtype))) * values, 0};
}

const bool known = register_cases<test::StoreRowsCall>("store_rows", test::store_rows_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
