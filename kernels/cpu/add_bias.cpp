#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {

void run_add_bias(const BiasArgs& args, const Execution& execution) {
    over_rows(args.rows, args.width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            float* x = args.x + r * args.x_stride;
            for (std::int64_t i = 0; i < args.width; ++i) x[i] += args.bias[i];
        }
    });
}

}  // namespace sluice::kernels::cpu
