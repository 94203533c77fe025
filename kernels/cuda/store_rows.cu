#include "kernels/cuda/rotate.cuh"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels::cuda {
namespace {

// A row's items: four pairs each of the heads, quads of the columns before them, quads of those behind.
struct Items {
    std::int64_t rotated, before, behind;
    std::int64_t end;  // of the heads' columns
};

__host__ __device__ __forceinline__ Items items_of(const StoreRowsArgs& args) {
    const RotatedHeads& heads = args.rotated;
    const std::int64_t end = heads.column + heads.count * heads.dim;
    return {heads.count * fours_of(heads.dim), quads_of(heads.column), quads_of(args.width - end), end};
}

template <bool Whole, class T>
__device__ __forceinline__ void store_rotated(const RotatedHeads& heads, const float* x, std::int64_t r,
                                              std::int64_t item, T* slot) {
    const std::int64_t fours = fours_of(heads.dim);
    const auto h = static_cast<unsigned>(item) / static_cast<unsigned>(fours);
    const std::int64_t column = heads.column + h * heads.dim, first = 4 * (item - h * fours);
    const float* angles = heads.table + heads.positions[r] * heads.dim;
    if (heads.interleaved)
        rotate_four<true, Whole>(x + column, angles, first, heads.dim, slot + column);
    else
        rotate_four<false, Whole>(x + column, angles, first, heads.dim, slot + column);
}

template <class T, bool Whole>
__global__ void store_rows(StoreRowsArgs args) {
    join_stream();
    const Items items = items_of(args);
    const std::int64_t r = grid_row(), item = grid_item(), quad = item - items.rotated;
    const float* x = args.x + r * args.x_stride;
    T* slot = static_cast<T*>(args.pages) + args.slots[r] * args.page_row_stride;
    if (quad < 0) return store_rotated<Whole>(args.rotated, x, r, item, slot);
    const bool before = quad < items.before;
    const std::int64_t i = before ? 4 * quad : items.end + 4 * (quad - items.before);
    const std::int64_t end = before ? args.rotated.column : args.width;
    if (i < end) store_quad<Whole>(slot, i, end, load_quad<Whole>(x, i, end));
}

template <class T>
void run(const StoreRowsArgs& args, const Execution& execution) {
    const RotatedHeads& heads = args.rotated;
    const bool whole = in_quads(args.x, args.x_stride, args.width) &&
                       in_quads(static_cast<const T*>(args.pages), args.page_row_stride, args.width) &&
                       heads.column % 4 == 0 && heads_in_quads(heads.dim, heads.table);
    const Items items = items_of(args);
    const ColumnGrid size = item_grid(args.rows, items.rotated + items.before + items.behind);
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
