#include "kernels/reference/run.hpp"

#include <vector>

namespace sluice::kernels::reference {

void run_store_rows(const StoreRowsArgs& args, const Execution& execution) {
    const RotatedHeads& rotated = args.rotated;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const float* x = args.x + r * args.x_stride;
        std::vector<float> row(x, x + args.width);
        if (rotated.count > 0) {
            float* heads = row.data() + rotated.column;
            run_rope({heads, 0, rotated.dim, heads, 0, rotated.dim, 1, rotated.count, rotated.dim,
                      rotated.interleaved, rotated.positions + r, rotated.table},
                     execution);
        }
        const std::int64_t at = args.slots[r] * args.page_row_stride;
        for (std::int64_t i = 0; i < args.width; ++i) {
            const float value = row[static_cast<std::size_t>(i)];
            if (args.page_dtype == DType::F32)
                static_cast<float*>(args.pages)[at + i] = value;
            else if (args.page_dtype == DType::F8E4M3)
                static_cast<fp8*>(args.pages)[at + i] = to_fp8(value);
            else
                static_cast<bf16*>(args.pages)[at + i] = to_bf16(value);
        }
    }
}

}  // namespace sluice::kernels::reference
