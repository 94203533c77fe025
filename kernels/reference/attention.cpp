#include "kernels/reference/element.hpp"
#include "kernels/reference/run.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::reference {
namespace {

// Where position p of the sequence begins in the pages, for heads `head_stride` apart.
std::int64_t place(const AttentionArgs& args, const SequenceRows& sequence, std::int64_t p,
                   std::int64_t kv_head, std::int64_t head_stride) {
    return sequence.pages[p / kPageTokens] * args.page_stride + (p % kPageTokens) * args.row_stride +
           kv_head * head_stride;
}

// One row and head that sees the first `count` positions: an ordinary softmax.
void attend(const AttentionArgs& args, const SequenceRows& sequence, std::int64_t row, std::int64_t head,
            std::int64_t count) {
    const std::int64_t kv_head = head * args.kv_heads / args.heads;
    const float* q = args.q + (row * args.heads + head) * args.key_dim;
    std::vector<double> weights(static_cast<std::size_t>(count));
    double best = -INFINITY;
    for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t at = place(args, sequence, p, kv_head, args.key_head_stride);
        double score = 0;
        for (std::int64_t d = 0; d < args.key_dim; ++d) {
            score += static_cast<double>(q[d]) * element(args.keys, args.page_dtype, at + d);
        }
        score *= args.scale;
        if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
        if (std::binary_search(sequence.masked.begin(), sequence.masked.end(), p)) score = kMaskedScore;
        weights[static_cast<std::size_t>(p)] = score;
        best = std::max(best, score);
    }
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - best);
    for (std::int64_t i = 0; i < args.value_dim; ++i) {
        double value = 0;
        for (std::int64_t p = 0; p < count; ++p) {
            const std::int64_t at = place(args, sequence, p, kv_head, args.value_head_stride);
            value += weights[static_cast<std::size_t>(p)] * element(args.values, args.page_dtype, at + i);
        }
        args.out[(row * args.heads + head) * args.value_dim + i] = static_cast<float>(value / sum);
    }
}

}  // namespace

void run_attention(const AttentionArgs& args, const Execution&) {
    for (const SequenceRows& sequence : args.sequences) {
        for (std::int64_t r = 0; r < sequence.rows; ++r) {
            const std::int64_t count = sequence.context - sequence.rows + r + 1;
            for (std::int64_t head = 0; head < args.heads; ++head) {
                attend(args, sequence, sequence.first_row + r, head, count);
            }
        }
    }
}

}  // namespace sluice::kernels::reference
