#pragma once

#include "kernels/cases.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sluice::test {

struct VocabCase {
    std::vector<std::int32_t> first_id;  // [slices + 1]
    std::int64_t rows = 12;
    bool large = false;
    std::int64_t width() const { return first_id.back() - first_id.front(); }
    std::int64_t elements() const { return rows * width(); }
    std::string name() const { return fmt::format("{}x{},slices:{}", rows, width(), first_id.size() - 1); }
};

inline std::vector<VocabCase> vocab_cases() {
    std::vector<VocabCase> cases;
    cases.push_back({{0, 1}});
    cases.push_back({{0, 15, 31, 32}});
    cases.push_back({{0, 255, 511, 1030}});
    cases.push_back({{0, 256, 512, 512, 1100}});
    cases.push_back({{100, 1300}});
    cases.push_back({{0, 3000}});
    VocabCase deepseek_v3{{0}};
    for (std::int32_t s = 1; s <= 8; ++s) deepseek_v3.first_id.push_back(129280 / 8 * s);
    add_steps(cases, deepseek_v3);
    return cases;
}

// A call that owns what its arguments borrow and what it returns.
struct VocabCall {
    std::vector<float> logits;
    std::int64_t width = 0;
    std::vector<VocabRow> rows;
    std::vector<std::int32_t> first_id;
    int first_slice = 0, max_candidates = 1, max_top = 0;
    std::vector<VocabSummary> summaries;
    std::vector<VocabCandidate> candidates, top;

    VocabCall() = default;
    explicit VocabCall(const VocabCase& c);

    std::size_t slices() const { return first_id.size() - 1; }
    VocabArgs args() {
        summaries.assign(rows.size() * slices(), {});
        candidates.assign(summaries.size() * static_cast<std::size_t>(max_candidates), {-7, NAN, NAN});
        top.assign(summaries.size() * static_cast<std::size_t>(max_top), {-7, NAN, NAN});
        std::int64_t widest = 0;
        for (std::size_t s = 0; s < slices(); ++s)
            widest = std::max<std::int64_t>(widest, first_id[s + 1] - first_id[s]);
        return {
            logits.data(),     width,          rows,       first_id, first_slice, widest, summaries.data(),
            candidates.data(), max_candidates, top.data(), max_top};
    }
    const VocabSummary& summary(std::size_t row, std::size_t slice) const {
        return summaries[row * slices() + slice];
    }
    const VocabCandidate* best(std::size_t row, std::size_t slice) const {
        return candidates.data() + (row * slices() + slice) * static_cast<std::size_t>(max_candidates);
    }
    const VocabCandidate* likeliest(std::size_t row, std::size_t slice) const {
        return top.data() + (row * slices() + slice) * static_cast<std::size_t>(max_top);
    }
};

// Every kind of row by turns; the logits of every other row have many ties.
inline VocabCall random_call(std::int64_t vocabulary, std::vector<std::int32_t> first_id, std::uint64_t seed,
                             std::int64_t rows = 12) {
    static const std::vector<std::int32_t> seen = {0, 1, 5, 17, 40, 256, 300, 511, 512, 999, 1000};
    Noise noise(seed);
    VocabCall call;
    call.width = vocabulary + 3;
    call.first_id = std::move(first_id);
    call.max_candidates = 20;
    call.max_top = 9;
    for (int r = 0; r < rows; ++r) {
        VocabRow row;
        row.row = static_cast<std::int32_t>(rows) - 1 - r;
        const float temperatures[] = {1, 0.7F, 0.05F, 3};
        row.temperature = temperatures[r % 4];
        row.repetition_penalty = r % 3 == 0 ? 1.0F : 1.3F;
        row.seen = seen;
        row.candidates = 1 + r % 12 * 2;
        row.draw_key = draw_key(seed, static_cast<std::uint64_t>(r));
        row.top = r % 12;  // up to more than there is room for
        row.target = r == 4 ? -1 : call.first_id[0] + static_cast<std::int32_t>(noise.below(vocabulary));
        call.rows.push_back(row);
    }
    call.logits = noise.vector(rows * call.width, 8);
    for (std::size_t i = 0; i < call.logits.size(); ++i) {
        if (i / static_cast<std::size_t>(call.width) % 2 == 0) call.logits[i] = std::round(call.logits[i]);
        if (i % 37 == 5) call.logits[i] = -INFINITY;
    }
    return call;
}

// Large ones are sampled as DeepSeek-V3 is by default, without penalties.
inline VocabCall::VocabCall(const VocabCase& c) {
    if (!c.large) {
        *this = random_call(c.width(), c.first_id, c.first_id.size(), c.rows);
    } else {
        width = c.width();
        first_id = c.first_id;
        max_candidates = 64;
        for (int r = 0; r < c.rows; ++r)
            rows.push_back(
                {.row = r, .temperature = 0.6F, .seen = {}, .candidates = 64, .draw_key = mix64(r)});
        logits = Noise(3).vector(c.rows * width, 8);
    }
    first_slice = 3;
}

}  // namespace sluice::test
