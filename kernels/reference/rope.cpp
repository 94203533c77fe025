#include "kernels/reference/run.hpp"

namespace sluice::kernels::reference {

void run_rope(const RopeArgs& args, const Execution&) {
    const std::int64_t half = args.dim / 2;
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t h = 0; h < args.heads; ++h) {
            const float* x = args.x + r * args.x_row_stride + h * args.x_head_stride;
            float* out = args.out + r * args.out_row_stride + h * args.out_head_stride;
            for (std::int64_t i = 0; i < half; ++i) {
                const std::int64_t first = args.interleaved ? 2 * i : i;
                const std::int64_t second = args.interleaved ? 2 * i + 1 : i + half;
                const float* angle = args.table + (args.positions[r] * half + i) * 2;
                const double cos = angle[0], sin = angle[1];
                const double a = x[first], b = x[second];
                out[first] = static_cast<float>(a * cos - b * sin);
                out[second] = static_cast<float>(a * sin + b * cos);
            }
        }
    }
}

}  // namespace sluice::kernels::reference
