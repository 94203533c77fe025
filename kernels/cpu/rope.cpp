#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/rotate.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {
namespace {

// Pair i is (x[i * Step], x[i * Step + apart]). Out is x or apart from it, so pairs are independent.
template <int Step>
void rotate(const float* x, std::int64_t apart, const float* angles, std::int64_t pairs, float* out,
            std::int64_t out_apart) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < pairs; ++i) {
        const float cos = angles[2 * i], sin = angles[2 * i + 1];
        const float a = x[i * Step], b = x[i * Step + apart];
        out[i * Step] = a * cos - b * sin;
        out[i * Step + out_apart] = a * sin + b * cos;
    }
}

}  // namespace

void rotate_neighbours(const float* x, const float* angles, std::int64_t pairs, float* out) {
    rotate<2>(x, 1, angles, pairs, out, 1);
}

void rotate_halves(const float* x, std::int64_t apart, const float* angles, std::int64_t pairs, float* out,
                   std::int64_t out_apart) {
    rotate<1>(x, apart, angles, pairs, out, out_apart);
}

void run_rope(const RopeArgs& args, const Execution& execution) {
    const std::int64_t pairs = args.dim / 2;
    const std::int64_t work = args.heads * args.dim;
    over_rows(args.rows, work, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* angles = args.table + args.positions[r] * args.dim;
            for (std::int64_t h = 0; h < args.heads; ++h) {
                const float* x = args.x + r * args.x_row_stride + h * args.x_head_stride;
                float* out = args.out + r * args.out_row_stride + h * args.out_head_stride;
                if (args.interleaved)
                    rotate_neighbours(x, angles, pairs, out);
                else
                    rotate_halves(x, pairs, angles, pairs, out, pairs);
            }
        }
    });
}

}  // namespace sluice::kernels::cpu
