#include "bench/kernel_bench.hpp"
#include "kernels/product_cases.hpp"

namespace sluice::bench {
namespace {

// The source once, and as many bytes of values again.
Traffic traffic_of(const PackArgs& args) {
    Traffic traffic;
    for (const WeightPart& part : args.parts) {
        const auto values = static_cast<double>(part.matrix.rows * part.matrix.cols);
        traffic.bytes += 2 * static_cast<double>(size_of(part.matrix.dtype)) * values;
    }
    return traffic;
}

const bool known =
    register_cases<test::PackCall>("pack", test::pack_cases(), Measure<PackArgs>{traffic_of, nullptr});

}  // namespace
}  // namespace sluice::bench
