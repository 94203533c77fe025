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

}  // namespace

void run_vocab(const VocabArgs& args, const Execution&) {
    const std::size_t slices = args.first_id.size() - 1;
    for (std::size_t r = 0; r < args.rows.size(); ++r) {
        const VocabRow& row = args.rows[r];
        for (std::size_t s = 0; s < slices; ++s) {
            std::vector<VocabCandidate> tokens = slice_of(args, row, s);
            args.summaries[r * slices + s] = summarise(tokens, row, args.first_slice + static_cast<int>(s));
            const auto key = [](float logit) { return std::isnan(logit) ? -INFINITY : logit; };
            std::ranges::stable_sort(tokens, [&](const VocabCandidate& a, const VocabCandidate& b) {
                return key(a.logit) > key(b.logit);
            });
            const auto room = static_cast<std::size_t>(args.max_candidates);
            const std::size_t wanted =
                std::min({static_cast<std::size_t>(row.candidates), room, tokens.size()});
            VocabCandidate* out = args.candidates + (r * slices + s) * room;
            for (std::size_t i = 0; i < room; ++i) out[i] = i < wanted ? tokens[i] : VocabCandidate{-1, 0, 0};
        }
    }
}

}  // namespace sluice::kernels::reference
