#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

template <bool Whole>
__global__ void add_bias_rows(BiasArgs args) {
    join_stream();
    const std::int64_t i = grid_column();
    if (i >= args.width) return;
    float* row = args.x + grid_row() * args.x_stride;
    Quad quad = load_quad<Whole>(row, i, args.width);
    const Quad bias = load_quad<Whole>(args.bias, i, args.width);
#pragma unroll
    for (int j = 0; j < 4; ++j) quad.v[j] += bias.v[j];
    store_quad<Whole>(row, i, args.width, quad);
}

}  // namespace

void run_add_bias(const BiasArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    const bool whole = in_quads(args.x, args.x_stride, args.width) && in_quads(args.bias, 0, args.width);
    const ColumnGrid size = column_grid(args.rows, args.width);
    launch(whole ? add_bias_rows<true> : add_bias_rows<false>, size.grid, size.block, 0, execution, args);
}

}  // namespace sluice::kernels::cuda
