#include "kernels/cuda/activate.cuh"
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

template <Activation Kind, bool Whole>
__global__ void gate_rows(GateArgs args) {
    join_stream();
    const std::int64_t r = grid_row(), i = grid_column();
    if (i >= args.width) return;
    const float* row = args.x + r * 2 * args.width;
    Quad gate = load_quad<Whole>(row, i, args.width);
    const Quad up = load_quad<Whole>(row + args.width, i, args.width);
#pragma unroll
    for (int j = 0; j < 4; ++j) gate.v[j] = activate<Kind>(gate.v[j]) * up.v[j];
    store_quad<Whole>(args.out + r * args.width, i, args.width, gate);
}

template <Activation Kind>
void run(const GateArgs& args, const Execution& execution) {
    const bool whole = in_quads(args.x, args.width, args.width) && in_quads(args.out, args.width, args.width);
    const ColumnGrid size = column_grid(args.rows, args.width);
    launch(whole ? gate_rows<Kind, true> : gate_rows<Kind, false>, size.grid, size.block, 0, execution, args);
}

}  // namespace

void run_gate(const GateArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    if (args.activation == Activation::Silu)
        run<Activation::Silu>(args, execution);
    else
        run<Activation::GeluTanh>(args, execution);
}

}  // namespace sluice::kernels::cuda
