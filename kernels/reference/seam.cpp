#include "kernels/reference/norm.hpp"
#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_seam(const SeamArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        float* x = args.x + r * args.dim;
        const float* delta = args.delta + r * args.dim;
        float* out = args.out + r * args.dim;
        if (args.post_gain != nullptr) {
            const double factor = norm_factor(delta, args.dim, args.eps);
            for (std::int64_t i = 0; i < args.dim; ++i) {
                x[i] += static_cast<float>(delta[i] * factor * args.post_gain[i]);
            }
        } else {
            for (std::int64_t i = 0; i < args.dim; ++i) x[i] += delta[i];
        }
        const double factor = norm_factor(x, args.dim, args.eps);
        for (std::int64_t i = 0; i < args.dim; ++i) {
            out[i] = static_cast<float>(x[i] * factor * args.next_gain[i]);
        }
    }
}

}  // namespace sluice::kernels::reference
