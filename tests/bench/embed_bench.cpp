#include "bench/kernel_bench.hpp"
#include "kernels/embed_cases.hpp"

namespace sluice::bench {
namespace {

Traffic traffic_of(const EmbedArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    return {(4 + static_cast<double>(size_of(args.table_dtype))) * values, values};
}

EmbedArgs on_device(const EmbedArgs& args, DeviceArrays& arrays) {
    EmbedArgs there = args;
    const auto bytes = args.local_vocab * args.dim * static_cast<std::int64_t>(size_of(args.table_dtype));
    there.ids = arrays.of(args.ids, args.rows);
    there.table = arrays.of(static_cast<const std::byte*>(args.table), bytes);
    there.out = arrays.of(args.out, args.rows * args.dim);
    return there;
}

const Measure<EmbedArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::EmbedCall>("embed", test::embed_cases(), measure);

}  // namespace
}  // namespace sluice::bench
