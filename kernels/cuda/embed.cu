#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

template <class T, bool Whole>
__global__ void embed_rows(EmbedArgs args) {
    join_stream();
    const std::int64_t r = grid_row(), i = grid_column();
    if (i >= args.dim) return;
    const std::int64_t local = args.ids[r] - args.first_id;
    Quad quad = {};
    if (local >= 0 && local < args.local_vocab) {
        quad = load_quad<Whole>(static_cast<const T*>(args.table) + local * args.dim, i, args.dim);
#pragma unroll
        for (int j = 0; j < 4; ++j) quad.v[j] = args.scale * quad.v[j];
    }
    store_quad<Whole>(args.out + r * args.dim, i, args.dim, quad);
}

template <class T>
void run(const EmbedArgs& args, const Execution& execution) {
    const bool whole = in_quads(static_cast<const T*>(args.table), args.dim, args.dim) &&
                       in_quads(args.out, args.dim, args.dim);
    const ColumnGrid size = column_grid(args.rows, args.dim);
    launch(whole ? embed_rows<T, true> : embed_rows<T, false>, size.grid, size.block, 0, execution, args);
}

}  // namespace

void run_embed(const EmbedArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    if (args.table_dtype == DType::F32)
        run<float>(args, execution);
    else
        run<bf16>(args, execution);
}

}  // namespace sluice::kernels::cuda
