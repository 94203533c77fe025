#pragma once

#include "kernels/cpu/norm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
void run_seam(const SeamArgs& args, const Execution& execution) {
    using Row = Norm<Isa>;
    over_rows(args.rows, 2 * args.dim, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            float* x = args.x + r * args.dim;
            const float* delta = args.delta + r * args.dim;
            if (args.post_gain != nullptr) {
                Row::template apply<true>(delta, Row::factor(delta, args.dim, args.eps), args.post_gain,
                                          args.dim, x);
            } else {
                for (std::int64_t i = 0; i < args.dim; ++i) x[i] += delta[i];
            }
            Row::template apply<false>(x, Row::factor(x, args.dim, args.eps), args.next_gain, args.dim,
                                       args.out + r * args.dim);
        }
    });
}

}  // namespace sluice::kernels::cpu
