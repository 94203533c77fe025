#include "bench/kernel_bench.hpp"
#include "kernels/product_cases.hpp"

#include <utility>

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

ProductArgs on_device(const ProductArgs& args, DeviceArrays& arrays) {
    ProductArgs there = args;
    std::vector<ProductJob> jobs(args.jobs.begin(), args.jobs.end());
    for (ProductJob& job : jobs) {
        job.x = arrays.of(job.x, job.rows * job.x_stride);
        job.gather = arrays.of(job.gather, job.rows);
        job.out = arrays.of(job.out, job.rows * job.out_stride);
    }
    there.jobs = arrays.keep(std::move(jobs));
    return there;
}

const Measure<ProductArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::ProductCall>("product", test::product_cases(), measure);
// DeepSeek-V3's matrices, whole and on one of eight GPUs, and square ones.
std::vector<test::ProductCase> v3_cases() {
    constexpr std::pair<std::int64_t, std::int64_t> kMatrices[] = {
        {1536, 7168}, {16384, 7168}, {2048, 512},  {4096, 7168}, {512, 512},  {512, 7168},
        {6144, 6144}, {7168, 16384}, {7168, 2048}, {7168, 7168}, {8192, 8192}};
    std::vector<test::ProductCase> cases;
    for (const auto& [n, k] : kMatrices) {
        test::ProductCase each{.n = n, .k = k, .large = true};
        for (const auto& [dtype, products] : {std::pair{DType::BF16, Products::Bf16},
                                              {DType::F8E4M3, Products::Bf16},
                                              {DType::F8E4M3, Products::Fp8}}) {
            each.dtype = dtype;
            each.products = products;
            for (const std::int64_t rows : {1, 16, 64, 256, 4096}) {
                each.rows = rows;
                cases.push_back(each);
            }
        }
    }
    return cases;
}
const bool known_v3 = register_v3<test::ProductCall>("product", v3_cases(), measure);

}  // namespace
}  // namespace sluice::bench
