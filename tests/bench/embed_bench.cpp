#include "bench/kernel_bench.hpp"
#include "kernels/embed_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const EmbedArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    return {(4 + static_cast<double>(size_of(args.table_dtype))) * values, values};
}

const bool known = register_cases<test::EmbedCall>("embed", test::embed_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
