#include "bench/kernel_bench.hpp"
#include "kernels/rms_norm_cases.hpp"

namespace sluice::bench {
namespace {

// A sum and a norm a value, and perhaps the norm of what is added.
Traffic traffic_of(const SeamArgs& args) {
    const auto values = static_cast<double>(args.rows * args.dim);
    const bool post = args.post_gain != nullptr;
    return {16 * values + (post ? 8 : 4) * static_cast<double>(args.dim), (post ? 9 : 5) * values};
}

const bool known = register_cases<test::SeamCall>("seam", test::seam_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
