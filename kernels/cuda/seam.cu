#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {
namespace {

// The row is read once, and stays in registers from one norm to the next.
template <bool Post, bool Whole>
__global__ void __launch_bounds__(kMostThreads) seam_rows(SeamArgs args) {
    join_stream();
    struct Shared {
        float post_sums[kMostWarps], sums[kMostWarps];
    };
    Shared& memory = shared<Shared>();
    const std::int64_t begin = blockIdx.x * args.dim;
    float* x = args.x + begin;
    Row row;
    load_row<Whole>(args.delta + begin, args.dim, row);
    float factor = 1;
    if constexpr (Post) factor = norm_factor(row, args.dim, args.eps, memory.post_sums);
    each_quad(args.dim, [&](int k, std::int64_t i) {
        Quad& quad = row.quads[k];
        if constexpr (Post) quad = scaled(quad, factor, load_quad<Whole>(args.post_gain, i, args.dim));
        const Quad before = load_quad<Whole>(x, i, args.dim);
#pragma unroll
        for (int j = 0; j < 4; ++j) quad.v[j] = before.v[j] + quad.v[j];
        store_quad<Whole>(x, i, args.dim, quad);
    });
    factor = norm_factor(row, args.dim, args.eps, memory.sums);
    each_quad(args.dim, [&](int k, std::int64_t i) {
        const Quad gain = load_quad<Whole>(args.next_gain, i, args.dim);
        store_quad<Whole>(args.out + begin, i, args.dim, scaled(row.quads[k], factor, gain));
    });
}

template <bool Post>
void run(const SeamArgs& args, const Execution& execution) {
    bool whole = !Post || in_quads(args.post_gain, 0, args.dim);
    for (const float* rows :
         {static_cast<const float*>(args.x), args.delta, args.next_gain, static_cast<const float*>(args.out)})
        whole = whole && in_quads(rows, args.dim, args.dim);
    launch(whole ? seam_rows<Post, true> : seam_rows<Post, false>, static_cast<unsigned>(args.rows),
           norm_threads(args.dim), 0, execution, args);
}

}  // namespace

void run_seam(const SeamArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    if (args.post_gain != nullptr)
        run<true>(args, execution);
    else
        run<false>(args, execution);
}

}  // namespace sluice::kernels::cuda
