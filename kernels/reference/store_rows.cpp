#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_store_rows(const StoreRowsArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const std::int64_t at = args.slots[r] * args.page_row_stride;
        for (std::int64_t i = 0; i < args.width; ++i) {
            const float value = args.x[r * args.x_stride + i];
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
