#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr std::int64_t kThreads = 256;

// A block takes some of a row's heads; a thread four neighbouring pairs of a head: two quads of x, and two of
// angles. Interleaved pairs lie in two neighbouring quads, others half a head apart.
template <bool Interleaved, bool Whole>
__global__ void rope_rows(RopeArgs args) {
    const std::int64_t pairs = args.dim / 2, fours = (pairs + 3) / 4;
    const std::int64_t item = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
    const auto h = static_cast<unsigned>(item) / static_cast<unsigned>(fours);
    if (h >= args.heads) return;
    const std::int64_t r = blockIdx.x, first = 4 * (item - h * fours);
    const float* x = args.x + r * args.x_row_stride + h * args.x_head_stride;
    float* out = args.out + r * args.out_row_stride + h * args.out_head_stride;
    const float* angles = args.table + args.positions[r] * args.dim;
    // (cos, sin) of pairs first and first + 1, then of the next two.
    const Quad near = load_quad<Whole>(angles, 2 * first, args.dim);
    const Quad far = load_quad<Whole>(angles, 2 * first + 4, args.dim);
    const auto rotate = [](float cos, float sin, float& a, float& b) {
        const float turned = a * cos - b * sin;
        b = a * sin + b * cos;
        a = turned;
    };
    if constexpr (Interleaved) {
        Quad p = load_quad<Whole>(x, 2 * first, args.dim), q = load_quad<Whole>(x, 2 * first + 4, args.dim);
        rotate(near.v[0], near.v[1], p.v[0], p.v[1]);
        rotate(near.v[2], near.v[3], p.v[2], p.v[3]);
        rotate(far.v[0], far.v[1], q.v[0], q.v[1]);
        rotate(far.v[2], far.v[3], q.v[2], q.v[3]);
        store_quad<Whole>(out, 2 * first, args.dim, p);
        store_quad<Whole>(out, 2 * first + 4, args.dim, q);
    } else {
        Quad a = load_quad<Whole>(x, first, pairs), b = load_quad<Whole>(x + pairs, first, pairs);
        rotate(near.v[0], near.v[1], a.v[0], b.v[0]);
        rotate(near.v[2], near.v[3], a.v[1], b.v[1]);
        rotate(far.v[0], far.v[1], a.v[2], b.v[2]);
        rotate(far.v[2], far.v[3], a.v[3], b.v[3]);
        store_quad<Whole>(out, first, pairs, a);
        store_quad<Whole>(out + pairs, first, pairs, b);
    }
}

template <bool Interleaved>
void run(const RopeArgs& args, const Execution& execution) {
    const std::int64_t pairs = args.dim / 2;
    const bool whole = pairs % 4 == 0 && in_quads(args.x, args.x_row_stride, args.x_head_stride) &&
                       in_quads(args.out, args.out_row_stride, args.out_head_stride) &&
                       in_quads(args.table, args.dim, args.dim);
    const std::int64_t items = args.heads * ((pairs + 3) / 4);
    const auto threads = static_cast<unsigned>(std::min((items + 31) / 32 * 32, kThreads));
    launch(whole ? rope_rows<Interleaved, true> : rope_rows<Interleaved, false>,
           dim3(static_cast<unsigned>(args.rows), blocks_of(items, threads)), threads, 0, execution, args);
}

}  // namespace

void run_rope(const RopeArgs& args, const Execution& execution) {
    if (args.rows == 0 || args.heads == 0) return;
    if (args.interleaved)
        run<true>(args, execution);
    else
        run<false>(args, execution);
}

}  // namespace sluice::kernels::cuda
