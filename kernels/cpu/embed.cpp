#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

#include <algorithm>

namespace sluice::kernels::cpu {

void run_embed(const EmbedArgs& args, const Execution& execution) {
    over_rows(args.rows, args.dim, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            float* out = args.out + r * args.dim;
            const std::int64_t local = args.ids[r] - args.first_id;
            if (local < 0 || local >= args.local_vocab) {
                std::fill_n(out, args.dim, 0.0F);
            } else if (args.table_dtype == DType::F32) {
                const float* row = static_cast<const float*>(args.table) + local * args.dim;
                for (std::int64_t i = 0; i < args.dim; ++i) out[i] = args.scale * row[i];
            } else {
                const bf16* row = static_cast<const bf16*>(args.table) + local * args.dim;
                for (std::int64_t i = 0; i < args.dim; ++i) out[i] = args.scale * to_float(row[i]);
            }
        }
    });
}

}  // namespace sluice::kernels::cpu
