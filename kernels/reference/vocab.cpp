#include "kernels/random.hpp"
#include "kernels/reference/run.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::kernels::reference {
namespace {

std::vector<VocabCandidate> slice_of(const VocabArgs& args, const VocabRow& row, std::size_t slice) {
    std::vector<VocabCandidate> tokens;
    for (std::int32_t id = args.first_id[slice]; id < args.first_id[slice + 1]; ++id) {
        const float raw = args.logits[row.row * args.stride + id - args.first_id[0]];
        float logit = raw;
        if (row.repetition_penalty != 1 && std::ranges::binary_search(row.seen, id)) {
            logit = raw > 0 ? raw / row.repetition_penalty : raw * row.repetition_penalty;
        }
        tokens.push_back({id, logit, raw});
    }
    return tokens;
}

double mass(float logit, float max, float temperature) {
    return logit == -INFINITY ? 0 : std::exp((static_cast<double>(logit) - max) / temperature);
}

VocabSummary summarise(const std::vector<VocabCandidate>& tokens, const VocabRow& row, int global_slice) {
    VocabSummary summary;
    summary.plain_max = summary.max = summary.drawn_logit = -INFINITY;
    summary.drawn = -1;
    for (const VocabCandidate& token : tokens) {
        summary.plain_max = std::max(summary.plain_max, token.raw);
        summary.max = std::max(summary.max, token.logit);
        if (token.id == row.target) summary.target_logit = token.raw;
        if (!(token.raw < INFINITY && token.logit < INFINITY)) summary.finite = 0;
    }
    if (summary.finite == 0) return summary;
    for (const VocabCandidate& token : tokens) {
        summary.plain_sum += mass(token.raw, summary.plain_max, 1);
        summary.sum += mass(token.logit, summary.max, row.temperature);
    }
    const double target = uniform(row.draw_key, 1 + static_cast<std::uint64_t>(global_slice)) * summary.sum;
    double passed = 0;
    for (const VocabCandidate& token : tokens) {
        const double here = mass(token.logit, summary.max, row.temperature);
        if (here <= 0) continue;
        if (passed > target) break;
        passed += here;
        summary.drawn = token.id;
        summary.drawn_logit = token.raw;
    }
    return summary;
}

// The first `wanted` tokens by `logit`, NaN last; the rest of the `room` is marked unused.
void list_best(std::vector<VocabCandidate> tokens, float VocabCandidate::*logit, int wanted, int room,
               VocabCandidate* out) {
    const auto key = [&](const VocabCandidate& token) {
        return std::isnan(token.*logit) ? -INFINITY : token.*logit;
    };
    std::ranges::stable_sort(
        tokens, [&](const VocabCandidate& a, const VocabCandidate& b) { return key(a) > key(b); });
    const auto count =
        std::min({static_cast<std::size_t>(wanted), static_cast<std::size_t>(room), tokens.size()});
    for (std::size_t i = 0; i < static_cast<std::size_t>(room); ++i)
        out[i] = i < count ? VocabCandidate{tokens[i].id, tokens[i].*logit, tokens[i].raw}
                           : VocabCandidate{-1, 0, 0};
}

}  // namespace

void run_vocab(const VocabArgs& args, const Execution&) {
    const std::size_t slices = args.first_id.size() - 1;
    for (std::size_t r = 0; r < args.rows.size(); ++r) {
        const VocabRow& row = args.rows[r];
        for (std::size_t s = 0; s < slices; ++s) {
            const std::vector<VocabCandidate> tokens = slice_of(args, row, s);
            const std::size_t at = r * slices + s;
            args.summaries[at] = summarise(tokens, row, args.first_slice + static_cast<int>(s));
            list_best(tokens, &VocabCandidate::logit, row.candidates, args.max_candidates,
                      args.candidates + at * static_cast<std::size_t>(args.max_candidates));
            list_best(tokens, &VocabCandidate::raw, row.top, args.max_top,
                      args.top + at * static_cast<std::size_t>(args.max_top));
        }
    }
}

}  // namespace sluice::kernels::reference
