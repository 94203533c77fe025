#include "kernels/reference/product_reference.hpp"

#include "kernels/fp8_rows.hpp"
#include "kernels/reference/pack_reference.hpp"
#include "kernels/reference/run.hpp"

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

// Writes a job's outputs, given as they are, as `args` wants them.
void finish(const ProductArgs& args, const ProductJob& job, const ReferenceWeight& weight,
            const std::vector<float>& plain, const Execution& execution) {
    const bool gated = args.outputs == Outputs::Gated;
    const std::int64_t width = gated ? weight.rows / 2 : weight.rows;
    std::vector<float> finished(static_cast<std::size_t>(job.rows * width));
    if (gated) {
        run_gate({plain.data(), job.rows, width, args.activation, finished.data()}, execution);
    } else {
        CombineArgs sum;
        sum.rows = job.rows;
        sum.dim = width;
        sum.slices = weight.segments;
        sum.base = plain.data();
        sum.out = finished.data();
        run_combine(sum, execution);
    }
    for (std::int64_t row = 0; row < job.rows; ++row)
        std::copy_n(finished.data() + row * width, width, job.out + row * job.out_stride);
}

}  // namespace

bool fits_product(const ProductArgs& args, const Machine& /*machine*/) {
    return std::all_of(args.jobs.begin(), args.jobs.end(), [](const ProductJob& job) {
        return dynamic_cast<const ReferenceWeight*>(job.weight) != nullptr;
    });
}

void run_product(const ProductArgs& args, const Execution& execution) {
    for (const ProductJob& job : args.jobs) {
        const auto& weight = static_cast<const ReferenceWeight&>(*job.weight);
        if (args.outputs == Outputs::Plain) {
            for (std::int64_t row = 0; row < job.rows; ++row) run_row(job, weight, row);
            continue;
        }
        std::vector<float> plain(static_cast<std::size_t>(weight.segments * job.rows * weight.rows));
        ProductJob alone = job;
        alone.out = plain.data();
        alone.out_stride = weight.rows;
        alone.segment_stride = job.rows * weight.rows;
        for (std::int64_t row = 0; row < job.rows; ++row) run_row(alone, weight, row);
        finish(args, job, weight, plain, execution);
    }
}

}  // namespace sluice::kernels::reference
