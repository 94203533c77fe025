#include "kernels/reference/product_reference.hpp"

#include "kernels/fp8_rows.hpp"
#include "kernels/reference/pack_reference.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::reference {
namespace {

void quantise_and_decode(std::vector<float>& x, const std::vector<std::int64_t>& block_col,
                         bool power_of_two) {
    for (std::size_t b = 0; b + 1 < block_col.size(); ++b) {
        const auto begin = x.begin() + block_col[b], end = x.begin() + block_col[b + 1];
        float amax = 0;
        for (auto v = begin; v != end; ++v) amax = std::fabs(*v) > amax ? std::fabs(*v) : amax;
        const float scale = fp8_row_scale(amax, power_of_two);
        for (auto v = begin; v != end; ++v) *v = fp8_to_float(to_fp8(*v / scale)) * scale;
    }
}

void run_row(const ProductJob& job, const ReferenceWeight& weight, std::int64_t row) {
    const std::int64_t from = job.gather == nullptr ? row : job.gather[row];
    for (std::size_t s = 0; s < weight.segment.size(); ++s) {
        const ReferenceWeight::Segment& segment = weight.segment[s];
        const float* begin = job.x + from * job.x_stride + segment.first_col;
        std::vector<float> x(begin, begin + segment.cols);
        if (weight.products == Products::Fp8)
            quantise_and_decode(x, segment.block_col, weight.power_of_two_scales);
        float* out = job.out + static_cast<std::int64_t>(s) * job.segment_stride + row * job.out_stride;
        for (std::int64_t n = 0; n < weight.rows; ++n) {
            const float* w = segment.values.data() + n * segment.cols;
            double sum = 0;
            for (std::int64_t k = 0; k < segment.cols; ++k)
                sum += static_cast<double>(x[static_cast<std::size_t>(k)]) * static_cast<double>(w[k]);
            out[n] = static_cast<float>(sum);
        }
    }
}

}  // namespace

bool fits_product(const ProductArgs& args, const Machine& /*machine*/) {
    return std::all_of(args.jobs.begin(), args.jobs.end(), [](const ProductJob& job) {
        return dynamic_cast<const ReferenceWeight*>(job.weight) != nullptr;
    });
}

void run_product(const ProductArgs& args, const Execution& /*execution*/) {
    for (const ProductJob& job : args.jobs) {
        for (std::int64_t row = 0; row < job.rows; ++row)
            run_row(job, static_cast<const ReferenceWeight&>(*job.weight), row);
    }
}

}  // namespace sluice::kernels::reference
