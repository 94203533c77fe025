#include "kernels/reference/norm.hpp"
#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_rms_norm(const RmsNormArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        const float* x = args.x + r * args.x_stride;
        float* out = args.out + r * args.out_stride;
        const double factor = norm_factor(x, args.dim, args.eps);
        for (std::int64_t i = 0; i < args.dim; ++i) {
            out[i] = static_cast<float>(x[i] * factor * args.gain[i]);
        }
    }
}

}  // namespace sluice::kernels::reference
