#include "engine/fake_run.hpp"

#include "engine/page_pool.hpp"
#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sluice::test {

Token continuation(const std::vector<Token>& tokens) {
    std::uint64_t hash = 7;
    for (const Token token : tokens) hash = kernels::mix64(hash ^ static_cast<std::uint64_t>(token));
    return static_cast<Token>(hash % 1000);
}

FakeRun::FakeRun(const BatchPolicy& policy, int pages)
    : policy_(policy), scheduler_(policy, pages), slots_(static_cast<std::size_t>(pages * kPage), -1) {}

std::vector<std::vector<Token>> FakeRun::run(const std::vector<Job>& jobs) {
    std::size_t next = 0;
    std::vector<std::vector<Token>> done(jobs.size());
    while (next < jobs.size() || !scheduler_.empty()) {
        for (; next < jobs.size() && scheduler_.wants_more(); ++next)
            owner_[scheduler_.admit(jobs[next].prompt, jobs[next].new_tokens)] = next;
        if (limits) {
            const auto [sequences, rows] = limits();
            scheduler_.limit(sequences, rows);
        }
        const Scheduler::Work work = scheduler_.next();
        check_and_store(work);
        scheduler_.ran();
        for (const Ticket ticket : work.sampled) {
            const std::size_t job = owner_.at(ticket);
            const Token token = continuation(scheduler_.tokens(ticket));
            done[job].push_back(token);
            scheduler_.append(ticket, token);
            if (static_cast<int>(done[job].size()) < jobs[job].new_tokens) continue;
            scheduler_.finish(ticket);
            finished_.push_back(job);
        }
        ++steps_;
    }
    return done;
}

std::vector<std::vector<int>> FakeRun::score(const std::vector<Job>& jobs) {
    std::size_t next = 0;
    std::vector<std::vector<int>> given(jobs.size());
    while (next < jobs.size() || !scheduler_.empty()) {
        for (; next < jobs.size() && scheduler_.wants_more(); ++next)
            owner_[scheduler_.admit_text(jobs[next].prompt, jobs[next].new_tokens)] = next;
        const Scheduler::Work work = scheduler_.next();
        check_and_store(work);
        scheduler_.ran();
        for (std::size_t i = 0; i < work.sampled.size(); ++i) {
            const std::size_t job = owner_.at(work.sampled[i]);
            const auto row = static_cast<std::size_t>(work.step.logit_rows[i]);
            given[job].push_back(work.step.positions[row]);
            if (given[job].back() + 1 == static_cast<int>(jobs[job].prompt.size()))
                scheduler_.finish(work.sampled[i]);
        }
        ++steps_;
    }
    return given;
}

void FakeRun::check_and_store(const Scheduler::Work& work) {
    const Step& step = work.step;
    EXPECT_LE(static_cast<int>(step.tokens.size()), policy_.max_rows);
    EXPECT_LE(static_cast<int>(step.sequences.size()), policy_.max_sequences);
    EXPECT_EQ(work.prefill_rows + work.decode_rows, static_cast<int>(step.tokens.size()));
    EXPECT_EQ(step.logit_rows.size(), work.sampled.size());
    rows_ += static_cast<std::int64_t>(step.tokens.size());
    std::set<std::int32_t> written;
    for (std::size_t row = 0; row < step.tokens.size(); ++row) {
        EXPECT_TRUE(written.insert(step.slots[row]).second) << "two rows write one slot";
        slots_[static_cast<std::size_t>(step.slots[row])] = step.tokens[row];
    }
    for (const StepSequence& sequence : step.sequences) {
        EXPECT_LE(sequence.rows, policy_.prefill_chunk);
        for (int i = 0; i < sequence.rows; ++i) {
            const auto row = static_cast<std::size_t>(sequence.first_row + i);
            EXPECT_EQ(step.positions[row], sequence.context - sequence.rows + i);
        }
    }
    for (const StepSequence& sequence : step.sequences) check_masked(step, sequence);
    EXPECT_TRUE(std::ranges::is_sorted(step.logit_rows));
    for (std::size_t i = 0; i < work.sampled.size(); ++i)
        check_context(step, step.logit_rows[i], scheduler_.tokens(work.sampled[i]));
}

// The positions of masked tokens, and no others, up to the end of the sequence's rows.
void FakeRun::check_masked(const Step& step, const StepSequence& sequence) {
    std::vector<std::int32_t> expected;
    for (int position = 0; position < sequence.context; ++position) {
        const PageId page = step.pages[static_cast<std::size_t>(sequence.first_page + position / kPage)];
        if (slots_[static_cast<std::size_t>(page * kPage + position % kPage)] == policy_.masked)
            expected.push_back(position);
    }
    masked_ += static_cast<std::int64_t>(expected.size());
    ASSERT_LE(static_cast<std::size_t>(sequence.first_masked + sequence.masked), step.masked.size());
    const auto first = step.masked.begin() + sequence.first_masked;
    EXPECT_EQ(std::vector<std::int32_t>(first, first + sequence.masked), expected);
}

// The row's sequence finds its own tokens in its pages, up to the row.
void FakeRun::check_context(const Step& step, int row, const std::vector<Token>& tokens) const {
    const auto sequence = std::ranges::find_if(step.sequences, [row](const StepSequence& s) {
        return s.first_row <= row && row < s.first_row + s.rows;
    });
    ASSERT_NE(sequence, step.sequences.end());
    const int last = step.positions[static_cast<std::size_t>(row)];
    ASSERT_LT(last, static_cast<int>(tokens.size()));
    for (int position = 0; position <= last; ++position) {
        const PageId page = step.pages[static_cast<std::size_t>(sequence->first_page + position / kPage)];
        ASSERT_EQ(slots_[static_cast<std::size_t>(page * kPage + position % kPage)],
                  tokens[static_cast<std::size_t>(position)]);
    }
}

}  // namespace sluice::test
