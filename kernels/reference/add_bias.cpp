#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_add_bias(const BiasArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t i = 0; i < args.width; ++i) args.x[r * args.x_stride + i] += args.bias[i];
    }
}

}  // namespace sluice::kernels::reference
