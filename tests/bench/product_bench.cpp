#include "bench/kernel_bench.hpp"
#include "kernels/product_cases.hpp"

namespace sluice::bench {
namespace {

// The weight once a job, however many rows; activations as they come.
Traffic traffic_of(const ProductArgs& args) {
    Traffic traffic;
    for (const ProductJob& job : args.jobs) {
        const auto rows = static_cast<double>(job.rows);
        const auto n = static_cast<double>(job.weight->rows), k = static_cast<double>(job.weight->cols);
        traffic.bytes += static_cast<double>(job.weight->bytes) + 4 * rows * (k + n * job.weight->segments);
        traffic.flops += 2 * rows * n * k;
    }
    return traffic;
}

const bool known = register_cases<test::ProductCall>("product", test::product_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
