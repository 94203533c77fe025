#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

template <class T, bool Whole>
__global__ void store_rows(StoreRowsArgs args) {
    const std::int64_t r = grid_row(), i = grid_column();
    if (i >= args.width) return;
    T* slot = static_cast<T*>(args.pages) + args.slots[r] * args.page_row_stride;
    store_quad<Whole>(slot, i, args.width, load_quad<Whole>(args.x + r * args.x_stride, i, args.width));
}

template <class T>
void run(const StoreRowsArgs& args, const Execution& execution) {
    const bool whole = in_quads(args.x, args.x_stride, args.width) &&
                       in_quads(static_cast<const T*>(args.pages), args.page_row_stride, args.width);
    const ColumnGrid size = column_grid(args.rows, args.width);
    launch(whole ? store_rows<T, true> : store_rows<T, false>, size.grid, size.block, 0, execution, args);
}

}  // namespace

void run_store_rows(const StoreRowsArgs& args, const Execution& execution) {
    if (args.rows == 0) return;
    if (args.page_dtype == DType::F32)
        run<float>(args, execution);
    else if (args.page_dtype == DType::F8E4M3)
        run<fp8>(args, execution);
    else
        run<bf16>(args, execution);
}

}  // namespace sluice::kernels::cuda
