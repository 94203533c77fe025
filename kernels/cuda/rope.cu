#include "kernels/cuda/rotate.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

// An item of a row is four pairs of one of its heads.
template <bool Interleaved, bool Whole>
__global__ void rope_rows(RopeArgs args) {
    join_stream();
    const std::int64_t r = grid_row(), item = grid_item(), fours = fours_of(args.dim);
    const auto h = static_cast<unsigned>(item) / static_cast<unsigned>(fours);
    if (h >= args.heads) return;
    rotate_four<Interleaved, Whole>(args.x + r * args.x_row_stride + h * args.x_head_stride,
                                    args.table + args.positions[r] * args.dim, 4 * (item - h * fours),
                                    args.dim, args.out + r * args.out_row_stride + h * args.out_head_stride);
}

template <bool Interleaved>
void run(const RopeArgs& args, const Execution& execution) {
    const bool whole = heads_in_quads(args.dim, args.table) &&
                       in_quads(args.x, args.x_row_stride, args.x_head_stride) &&
                       in_quads(args.out, args.out_row_stride, args.out_head_stride);
    const ColumnGrid size = item_grid(args.rows, args.heads * fours_of(args.dim));
    launch(whole ? rope_rows<Interleaved, true> : rope_rows<Interleaved, false>, size.grid, size.block, 0,
           execution, args);
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
