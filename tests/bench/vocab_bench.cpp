#include "bench/kernel_bench.hpp"
#include "kernels/vocab_cases.hpp"

namespace sluice::bench {
namespace {

// Every logit is read once; its exponential counts for the sum of the model's own probabilities and, where
// the row has a temperature or a penalty, for that of the sampled ones.
Traffic traffic_of(const VocabArgs& args) {
    Traffic traffic;
    const auto width = static_cast<double>(args.first_id.back() - args.first_id.front());
    for (const VocabRow& row : args.rows) {
        const bool plain = row.temperature == 1 && row.repetition_penalty == 1;
        traffic.bytes += 4 * width;
        traffic.flops += (plain ? 1 : 2) * (kExponential + 1) * width;
    }
    return traffic;
}

const bool known = register_cases<test::VocabCall>("vocab", test::vocab_cases(), traffic_of);

}  // namespace
}  // namespace sluice::bench
