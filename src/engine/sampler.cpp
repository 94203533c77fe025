#include "engine/sampler.hpp"

#include "core/error.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

using kernels::VocabCandidate;
using kernels::VocabRow;
using kernels::VocabSummary;

// Candidates that each slice reports of a row with filters: rarely too few, and then the row travels whole.
constexpr int kFilterCandidates = 64;
constexpr std::uint64_t kSliceStream =
    0;  // the random number that chooses among slices, or filtered candidates

bool filters(const Choice& choice) { return choice.top_k > 0 || choice.top_p < 1 || choice.min_p > 0; }

int candidates_for(const Choice& choice) {
    return choice.temperature > 0 && filters(choice) ? kFilterCandidates : 1;
}

// A type of its own, which a sort compiles in: a call for each comparison costs as much again.
constexpr auto kBestFirst = [](const VocabCandidate& a, const VocabCandidate& b) {
    return kernels::better(a, b);
};

// From every token of the vocabulary, sorted as far as the filters reach.
int pick_from_all(std::vector<VocabCandidate>& all, double mass, const Choice& choice) {
    auto sorted = all.begin();
    for (std::ptrdiff_t count = 1024;; count *= 4) {
        const bool complete = count >= std::ssize(all);
        const auto end = complete ? all.end() : all.begin() + count;
        if (!complete) std::nth_element(sorted, end, all.end(), kBestFirst);
        std::sort(sorted, end, kBestFirst);
        const int index = pick_filtered({all.begin(), end}, mass, complete, choice);
        if (index >= 0) return index;
        sorted = end;
    }
}

template <class T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
    return std::as_writable_bytes(std::span(values));
}

}  // namespace

// Every slice's word on every row, [slices of the checkpoint] for each.
struct Sampler::Gathered {
    std::size_t rows = 0, local_slices = 0;
    std::size_t most = 1;                    // candidates of a slice and row
    std::size_t most_likely = 0;             // most likely tokens of a slice and row
    std::vector<VocabSummary> summaries;     // [ranks][rows][local slices]
    std::vector<VocabCandidate> candidates;  // [ranks][rows][local slices][most]
    std::vector<VocabCandidate> likely;      // [ranks][rows][local slices][most_likely]

    std::size_t at(std::size_t row, std::size_t slice) const {
        return (slice / local_slices * rows + row) * local_slices + slice % local_slices;
    }
    const VocabSummary& summary(std::size_t row, std::size_t slice) const {
        return summaries[at(row, slice)];
    }
    std::span<const VocabCandidate> best(std::size_t row, std::size_t slice) const {
        return std::span(candidates).subspan(at(row, slice) * most, most);
    }
    std::span<const VocabCandidate> top(std::size_t row, std::size_t slice) const {
        return std::span(likely).subspan(at(row, slice) * most_likely, most_likely);
    }
};

int pick_filtered(std::span<const VocabCandidate> candidates, double mass, bool complete,
                  const Choice& choice) {
    const auto weight = [&](std::size_t i) {
        return std::exp((static_cast<double>(candidates[i].logit) - candidates[0].logit) /
                        choice.temperature);
    };
    std::size_t limit = candidates.size();
    if (choice.top_k > 0 && static_cast<std::size_t>(choice.top_k) <= limit) {
        limit = static_cast<std::size_t>(choice.top_k);
        complete = true;
        mass = 0;
        for (std::size_t i = 0; i < limit; ++i) mass += weight(i);
    } else if (choice.top_k > 0 && !complete) {
        return -1;
    }
    const double enough = choice.top_p < 1 ? choice.top_p * mass : HUGE_VAL;
    double kept_mass = 0;
    std::size_t kept = 0;
    while (kept < limit && kept_mass < enough && weight(kept) >= choice.min_p) kept_mass += weight(kept++);
    const bool exhausted = kept == limit && kept_mass < enough;
    if (exhausted && !complete) return -1;
    kept = std::max<std::size_t>(kept, 1);
    const double target = kernels::uniform(choice.draw_key, kSliceStream) * kept_mass;
    double passed = 0;
    for (std::size_t i = 0; i + 1 < kept; ++i) {
        passed += weight(i);
        if (passed > target) return static_cast<int>(i);
    }
    return static_cast<int>(kept) - 1;
}

Sampler::Sampler(const Ops& ops, DeviceSums& sums, Communicator& ranks, const Shard& shard, int vocabulary,
                 std::vector<std::int32_t> first_id)
    : ops_(ops),
      sums_(sums),
      ranks_(ranks),
      shard_(shard),
      vocabulary_(vocabulary),
      first_id_(std::move(first_id)),
      wishes_(ops),
      answers_(ops) {}

void Sampler::begin(ConstView logits, std::span<const SampleRow> rows) {
    asked_ = {logits, rows};
    if (!rows.empty()) ask();
    sums_.leave();
}

void Sampler::ask() {
    const std::span<const SampleRow> rows = asked_.rows;
    for (const SampleRow& row : rows) {
        asked_.most = std::max(asked_.most, static_cast<std::size_t>(candidates_for(row.choice)));
        asked_.most_likely = std::max(asked_.most_likely, static_cast<std::size_t>(row.logprobs));
    }
    const std::size_t local = rows.size() * (first_id_.size() - 1);
    answers_.begin(Exchange::room_for<VocabSummary>(local) +
                   Exchange::room_for<VocabCandidate>(local * asked_.most) +
                   Exchange::room_for<VocabCandidate>(local * asked_.most_likely));
    const auto summaries = answers_.place<VocabSummary>(local);
    const auto candidates = answers_.place<VocabCandidate>(local * asked_.most);
    const auto likely = answers_.place<VocabCandidate>(local * asked_.most_likely);
    asked_.summaries = summaries.host;
    asked_.candidates = candidates.host;
    asked_.likely = likely.host;
    kernels::VocabArgs args = place_wishes();
    args.logits = asked_.logits.as<float>();
    args.stride = asked_.logits.row_stride;
    args.first_slice = shard_.first();
    args.summaries = summaries.here;
    args.candidates = candidates.here;
    args.max_candidates = static_cast<int>(asked_.most);
    args.top = likely.here;
    args.max_top = static_cast<int>(asked_.most_likely);
    ops_.vocab(args);
    answers_.queue_download();
}

std::vector<Pick> Sampler::finish() {
    sums_.wait();  // where nothing is asked, too, or the next step would pay for this one
    std::vector<Pick> picks;
    if (asked_.rows.empty()) return picks;
    const Gathered all = gather();
    for (std::size_t row = 0; row < asked_.rows.size(); ++row) picks.push_back(pick_row(all, row));
    return picks;
}

Sampler::Gathered Sampler::gather() {
    Gathered all;
    all.rows = asked_.rows.size();
    all.local_slices = first_id_.size() - 1;
    all.most = asked_.most;
    all.most_likely = asked_.most_likely;
    const auto ranks = static_cast<std::size_t>(ranks_.size());
    all.summaries.resize(asked_.summaries.size() * ranks);
    all.candidates.resize(asked_.candidates.size() * ranks);
    ranks_.all_gather(std::as_bytes(asked_.summaries), bytes_of(all.summaries));
    ranks_.all_gather(std::as_bytes(asked_.candidates), bytes_of(all.candidates));
    if (asked_.likely.empty()) return all;
    all.likely.resize(asked_.likely.size() * ranks);
    ranks_.all_gather(std::as_bytes(asked_.likely), bytes_of(all.likely));
    return all;
}

kernels::VocabArgs Sampler::place_wishes() {
    const std::span<const SampleRow> rows = asked_.rows;
    std::size_t room =
        Exchange::room_for<VocabRow>(rows.size()) + Exchange::room_for<std::int32_t>(first_id_.size());
    for (const SampleRow& row : rows) room += Exchange::room_for<Token>(row.seen.size());
    wishes_.begin(room);
    const auto asked = wishes_.place<VocabRow>(rows.size());
    const auto* first_id = wishes_.lend(std::span<const std::int32_t>(first_id_));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const SampleRow& row = rows[i];
        const Choice& choice = row.choice;
        const float temperature = choice.temperature > 0 ? choice.temperature : 1;
        asked.host[i] = {static_cast<std::int32_t>(i),
                         temperature,
                         choice.repetition_penalty,
                         {wishes_.lend(std::span<const Token>(row.seen)), row.seen.size()},
                         candidates_for(choice),
                         choice.draw_key,
                         row.logprobs,
                         row.target};
    }
    wishes_.upload();
    kernels::VocabArgs args;
    args.rows = {asked.here, rows.size()};
    args.first_id = {first_id, first_id_.size()};
    for (std::size_t slice = 0; slice + 1 < first_id_.size(); ++slice)
        args.widest_slice =
            std::max<std::int64_t>(args.widest_slice, first_id_[slice + 1] - first_id_[slice]);
    return args;
}

// A row's sums over all slices, in their order, whichever ranks hold them.
struct Sampler::Totals {
    bool valid = true;
    double plain_max = -HUGE_VAL, plain_sum = 0;  // of the raw logits
    double max = -HUGE_VAL, mass = 0;             // of what is drawn from
    std::vector<double> passed;                   // mass up to the end of each slice

    float logprob(float raw) const { return static_cast<float>(raw - plain_max - std::log(plain_sum)); }
};

Sampler::Totals Sampler::totals_of(const Gathered& all, std::size_t row, const Choice& choice) const {
    const auto slices = static_cast<std::size_t>(shard_.slices);
    Totals totals;
    for (std::size_t s = 0; s < slices; ++s) {
        const VocabSummary& summary = all.summary(row, s);
        totals.valid = totals.valid && summary.finite != 0;
        totals.plain_max = std::max<double>(totals.plain_max, summary.plain_max);
        totals.max = std::max<double>(totals.max, summary.max);
    }
    totals.valid = totals.valid && std::isfinite(totals.max);
    const double temperature = choice.temperature > 0 ? choice.temperature : 1;
    for (std::size_t s = 0; s < slices && totals.valid; ++s) {
        const VocabSummary& summary = all.summary(row, s);
        totals.plain_sum += summary.plain_sum * std::exp(summary.plain_max - totals.plain_max);
        totals.mass += summary.sum * std::exp((summary.max - totals.max) / temperature);
        totals.passed.push_back(totals.mass);
    }
    return totals;
}

Pick Sampler::pick_row(const Gathered& all, std::size_t row) {
    const SampleRow& wishes = asked_.rows[row];
    const Totals totals = totals_of(all, row, wishes.choice);
    Pick pick;
    pick.valid = totals.valid;
    if (!totals.valid) return pick;
    if (wishes.target >= 0) {
        float raw = -HUGE_VALF;  // all slices but one say so
        for (std::size_t s = 0; s < totals.passed.size(); ++s)
            raw = std::max(raw, all.summary(row, s).target_logit);
        pick.token = wishes.target;
        pick.logprob = totals.logprob(raw);
    } else {
        const VocabCandidate chosen = choose(all, row, totals);
        pick.token = chosen.id;
        pick.logprob = totals.logprob(chosen.raw);
    }
    if (wishes.logprobs > 0) pick.top = most_likely(all, row, wishes.logprobs, totals);
    return pick;
}

std::vector<TokenLogprob> Sampler::most_likely(const Gathered& all, std::size_t row, int count,
                                               const Totals& totals) const {
    std::vector<VocabCandidate> merged;
    for (std::size_t s = 0; s < totals.passed.size(); ++s) {
        for (const VocabCandidate& token : all.top(row, s)) {
            if (token.id >= 0) merged.push_back(token);
        }
    }
    std::ranges::sort(merged, kBestFirst);
    merged.resize(std::min(merged.size(), static_cast<std::size_t>(count)));
    std::vector<TokenLogprob> top;
    for (const VocabCandidate& token : merged) top.push_back({token.id, totals.logprob(token.raw)});
    // Two logits may round to one log-probability.
    std::ranges::sort(top, [](const TokenLogprob& a, const TokenLogprob& b) {
        return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
    });
    return top;
}

VocabCandidate Sampler::choose(const Gathered& all, std::size_t row, const Totals& totals) {
    const Choice& choice = asked_.rows[row].choice;
    const std::size_t slices = totals.passed.size();
    if (choice.temperature > 0 && !filters(choice)) {
        const double target = kernels::uniform(choice.draw_key, kSliceStream) * totals.mass;
        std::size_t slice = 0;
        while (slice + 1 < slices && totals.passed[slice] <= target) ++slice;
        while (all.summary(row, slice).drawn < 0) --slice;  // rounding reached a slice that weighs nothing
        const VocabSummary& summary = all.summary(row, slice);
        return {summary.drawn, summary.drawn_logit, summary.drawn_logit};
    }

    // The slices' best, merged. What a slice held back is worse than the last it reported, so the merged
    // order is the true one up to the first such last.
    std::vector<VocabCandidate> merged;
    const VocabCandidate* known_to = nullptr;
    const auto reported = static_cast<std::size_t>(candidates_for(choice));
    for (std::size_t s = 0; s < slices; ++s) {
        const auto best = all.best(row, s).first(reported);
        for (const VocabCandidate& candidate : best) {
            if (candidate.id >= 0) merged.push_back(candidate);
        }
        const bool held_back =
            best.back().id >= 0 && part_of(vocabulary_, static_cast<int>(s), shard_.slices).size() >
                                       static_cast<std::int64_t>(reported);
        if (held_back && (known_to == nullptr || kernels::better(best.back(), *known_to)))
            known_to = &best.back();
    }
    std::ranges::sort(merged, kBestFirst);
    if (choice.temperature <= 0) return merged.front();
    const bool complete = known_to == nullptr;
    if (!complete) {
        const auto end =
            std::ranges::find_if(merged, [&](const VocabCandidate& c) { return c.id == known_to->id; });
        merged.erase(end + 1, merged.end());
    }
    int index = pick_filtered(merged, totals.mass, complete, choice);
    if (index < 0) {
        merged = whole_row(row);
        index = pick_from_all(merged, totals.mass, choice);
    }
    return merged[static_cast<std::size_t>(index)];
}

// A flat distribution: the filters reach further than the candidates. All ranks come here together.
std::vector<VocabCandidate> Sampler::whole_row(std::size_t row) {
    const SampleRow& wishes = asked_.rows[row];
    const ConstView& logits = asked_.logits;
    std::int64_t widest = 0;
    for (int rank = 0; rank < shard_.ranks; ++rank) {
        widest = std::max(widest, Shard{rank, shard_.ranks, shard_.slices}.range(vocabulary_).size());
    }
    std::vector<float> mine(static_cast<std::size_t>(widest));
    const float* begin = logits.as<float>() + static_cast<std::int64_t>(row) * logits.row_stride;
    ops_.download(begin, mine.data(), static_cast<std::size_t>(logits.shape[1]) * sizeof(float));
    std::vector<float> all(mine.size() * static_cast<std::size_t>(shard_.ranks));
    ranks_.all_gather(bytes_of(mine), bytes_of(all));
    std::vector<VocabCandidate> candidates;
    for (int rank = 0; rank < shard_.ranks; ++rank) {
        const Range ids = Shard{rank, shard_.ranks, shard_.slices}.range(vocabulary_);
        for (std::int64_t id = ids.begin; id < ids.end; ++id) {
            const float raw = all[static_cast<std::size_t>(rank * widest + id - ids.begin)];
            candidates.push_back({static_cast<std::int32_t>(id), raw, raw});
        }
    }
    for (const Token token : wishes.seen) {
        VocabCandidate& candidate = candidates[static_cast<std::size_t>(token)];
        candidate.logit = kernels::penalized(candidate.raw, wishes.choice.repetition_penalty);
    }
    return candidates;
}

}  // namespace sluice
