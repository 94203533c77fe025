#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {
namespace {

template <bool Whole>
__global__ void __launch_bounds__(kMostThreads) rms_norm_rows(RmsNormArgs args) {
    join_stream();
    struct Shared {
        float sums[kMostWarps];
    };
    const std::int64_t r = blockIdx.x;
    Row row;
    load_row<Whole>(args.x + r * args.x_stride, args.dim, row);
    const float factor = norm_factor(row, args.dim, args.eps, shared<Shared>().sums);
    float* out = args.out + r * args.out_stride;
    each_quad(args.dim, [&](int k, std::int64_t i) {
        const Quad gain = load_quad<Whole>(args.gain, i, args.dim);
        store_quad<Whole>(out, i, args.dim, scaled(row.quads[k], factor, gain));
    });
}

}  // namespace

void run_rms_norm(const RmsNormArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    const bool whole = in_quads(args.x, args.x_stride, args.dim) && in_quads(args.gain, 0, args.dim) &&
                       in_quads(args.out, args.out_stride, args.dim);
    launch(whole ? rms_norm_rows<true> : rms_norm_rows<false>, static_cast<unsigned>(args.rows),
           norm_threads(args.dim), 0, execution, args);
}

}  // namespace sluice::kernels::cuda
