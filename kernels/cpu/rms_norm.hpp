#pragma once

#include "kernels/cpu/norm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
void run_rms_norm(const RmsNormArgs& args, const Execution& execution) {
    using Row = Norm<Isa>;
    over_rows(args.rows, args.dim, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* x = args.x + r * args.x_stride;
            Row::template apply<false>(x, Row::factor(x, args.dim, args.eps), args.gain, args.dim,
                                       args.out + r * args.out_stride);
        }
    });
}

}  // namespace sluice::kernels::cpu
