#include "bench/kernel_bench.hpp"
#include "kernels/vocab_cases.hpp"

#include <algorithm>

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

VocabArgs on_device(const VocabArgs& args, DeviceArrays& arrays) {
    VocabArgs there = args;
    std::vector<VocabRow> rows(args.rows.begin(), args.rows.end());
    std::int64_t last = 0;
    for (VocabRow& row : rows) {
        row.seen = arrays.of(row.seen);
        last = std::max<std::int64_t>(last, row.row);
    }
    const auto results = static_cast<std::int64_t>(args.rows.size() * (args.first_id.size() - 1));
    there.logits = arrays.of(args.logits, (last + 1) * args.stride);
    there.rows = arrays.of(arrays.keep(std::move(rows)));
    there.first_id = arrays.of(args.first_id);
    there.summaries = arrays.of(args.summaries, results);
    there.candidates = arrays.of(args.candidates, results * args.max_candidates);
    there.top = arrays.of(args.top, results * args.max_top);
    return there;
}

const Measure<VocabArgs> measure{traffic_of, on_device};
const bool known = register_cases<test::VocabCall>("vocab", test::vocab_cases(), measure);
// A decoding batch of 128.
const bool known_v3 = register_v3<test::VocabCall>(
    "vocab", std::vector<test::VocabCase>{{.first_id = {0, 129280}, .rows = 128, .large = true}}, measure);

}  // namespace
}  // namespace sluice::bench
