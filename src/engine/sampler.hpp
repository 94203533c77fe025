// Chooses the next tokens, or scores given ones, from logits that are spread over ranks: only summaries and
// candidates travel.
#pragma once

#include "backend/exchange.hpp"
#include "backend/ops.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"
#include "model/shard.hpp"
#include "text/request.hpp"
#include "text/token_logprobs.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// What one row asks of its logits.
struct Choice {
    float temperature = 1;  // 0: greedy
    float top_p = 1, min_p = 0, repetition_penalty = 1;
    std::int32_t top_k = 0;
    std::uint64_t draw_key = 0;
};

struct SampleRow {
    Choice choice;
    std::vector<Token> seen;    // distinct, ascending; with a repetition penalty only
    std::int32_t logprobs = 0;  // most likely tokens to report
    Token target = -1;          // the token to score: it is picked, whatever `choice` says; -1: choose one
};

struct Pick {
    Token token = 0;
    float logprob = 0;              // natural log of the model's own probability (no penalty, temperature 1)
    bool valid = true;              // false: the row's logits hold NaN or infinity, or nothing but -infinity
    std::vector<TokenLogprob> top;  // the most likely tokens, as many as were asked for and exist
};

// The token that `choice` picks from `candidates`, the row's best tokens in order (logit descending, then
// id). `mass` is the sum over the whole vocabulary of exp((l - best) / temperature). `complete`: there are no
// further tokens. Returns the index, or -1 when further candidates would be needed to know. Order of the
// filters: top-k, then top-p of what is left, then min-p (a share of the best's probability).
int pick_filtered(std::span<const kernels::VocabCandidate> candidates, double mass, bool complete,
                  const Choice& choice);

class Sampler {
public:
    // first_id: the local vocabulary slices' borders (Decoder::vocabulary_slices).
    // `sums`: the decoder's, behind which the operations are queued.
    Sampler(const Ops& ops, DeviceSums& sums, Communicator& ranks, const Shard& shard, int vocabulary,
            std::vector<std::int32_t> first_id);

    // Queues what there is to know of logits [rows, local vocabulary], in the operations' memory. They and
    // `rows` must stay until finish().
    void begin(ConstView logits, std::span<const SampleRow> rows);
    // Every rank calls it, with its own columns, and gets the same picks, which depend on nothing but a row's
    // logits and its own wishes. What was queued is done when it returns, also where nothing is to be picked.
    std::vector<Pick> finish();

private:
    struct Gathered;
    struct Totals;
    // What is under way: of each row and local slice a summary, so many candidates and so many most likely
    // tokens.
    struct Asked {
        ConstView logits;
        std::span<const SampleRow> rows;
        std::size_t most = 1, most_likely = 0;
        std::span<const kernels::VocabSummary> summaries = {};
        std::span<const kernels::VocabCandidate> candidates = {}, likely = {};
    };

    void ask();
    Gathered gather();
    Totals totals_of(const Gathered& all, std::size_t row, const Choice& choice) const;
    std::vector<TokenLogprob> most_likely(const Gathered& all, std::size_t row, int count,
                                          const Totals& totals) const;
    Pick pick_row(const Gathered& all, std::size_t row);
    kernels::VocabCandidate choose(const Gathered& all, std::size_t row, const Totals& totals);
    std::vector<kernels::VocabCandidate> whole_row(std::size_t row);

    // Rows, and the slices, where the operation finds them; the rest of its arguments is left out.
    kernels::VocabArgs place_wishes();

    const Ops& ops_;
    DeviceSums& sums_;
    Communicator& ranks_;
    Shard shard_;
    int vocabulary_;
    std::vector<std::int32_t> first_id_;
    Exchange wishes_, answers_;  // of the operation
    Asked asked_;
};

}  // namespace sluice
