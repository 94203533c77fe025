#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

#include <algorithm>

namespace sluice::kernels::cpu {

void run_store_rows(const StoreRowsArgs& args, const Execution& execution) {
    over_rows(args.rows, args.width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* x = args.x + r * args.x_stride;
            const std::int64_t at = args.slots[r] * args.page_row_stride;
            if (args.page_dtype == DType::F32) {
                std::copy_n(x, args.width, static_cast<float*>(args.pages) + at);
            } else {
                bf16* out = static_cast<bf16*>(args.pages) + at;
                for (std::int64_t i = 0; i < args.width; ++i) out[i] = to_bf16(x[i]);
            }
        }
    });
}

}  // namespace sluice::kernels::cpu
