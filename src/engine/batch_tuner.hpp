// How many rows a step should have, from what steps have cost. A pure class: counts and seconds, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace sluice {

// A step that was run.
struct StepCost {
    int rows = 0;
    std::int64_t contexts = 0;  // tokens in the cache that its sequences looked back on, together
    double seconds = 0;
    int logit_rows = 0;  // rows whose logits were wanted
};

// A row gets cheaper with every other row of its step, for they share the reading of the weights, until
// computing takes longer than reading. Where that is depends on the model, the machine and its neighbours,
// and so it is measured. Sizes are powers of two. A larger one is tried, and taken where it makes a row
// cheaper by 4 % or more: of sizes that are about as good the smallest needs the fewest pages of the cache. A
// larger one that was no better is tried again now and then.
//
// Each size is judged by the median of its latest steps, so that a step that was held up does not count. What
// a row costs by the tokens it looks back on is taken off first (Theil and Sen's slope), for contexts grow
// while sizes are compared. And rows of prompts, which take no logits, are cheaper than rows that do: only
// steps are compared of which the same part, more or less than half, takes logits, and those of which more
// was lately run decide.
class BatchTuner {
public:
    // most: rows of any step.
    explicit BatchTuner(int most);

    void ran(const StepCost& step);
    // Rows that a step should have.
    int rows() const { return rows_; }

private:
    struct Sample {
        double seconds = 0, contexts = 0;  // of a row
    };
    struct Size {
        int rows = 0;
        std::vector<Sample> latest = {};  // a ring
        std::size_t next = 0;
        std::int64_t last = 0;  // step of this size
        bool known() const;
    };

    // Steps that may be compared.
    struct Kind {
        std::vector<Size> sizes = {};  // ascending
        double rows = 0;               // lately run
    };

    static double seconds_a_token_of_context(const std::vector<Size>& sizes);
    static double seconds_a_row(const Size& size, double slope);
    int choose(const std::vector<Size>& sizes) const;

    std::array<Kind, 2> kinds_;  // of prompts, and of tokens that are sampled
    std::int64_t steps_ = 0;
    int rows_;
};

}  // namespace sluice
