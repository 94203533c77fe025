#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

// Tanh-GELU is x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3), because (1 + tanh u) / 2 =
// sigmoid(2u).
template <Activation Kind>
__device__ __forceinline__ float activate(float x) {
    if constexpr (Kind == Activation::Silu)
        return x * sigmoid(x);
    else
        return x * sigmoid(x * __fmaf_rn(x * x, 0.07135481627F, 1.595769122F));
}

template <Activation Kind, bool Whole>
__global__ void gate_rows(GateArgs args) {
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
