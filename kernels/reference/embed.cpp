#include "kernels/reference/element.hpp"
#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_embed(const EmbedArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const std::int64_t local = args.ids[r] - args.first_id;
        const bool ours = local >= 0 && local < args.local_vocab;
        for (std::int64_t i = 0; i < args.dim; ++i) {
            args.out[r * args.dim + i] =
                ours ? args.scale * element(args.table, args.table_dtype, local * args.dim + i) : 0.0F;
        }
    }
}

}  // namespace sluice::kernels::reference
