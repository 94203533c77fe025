// The scheduler against a stand-in for the model: a cache that remembers which token each slot holds, and
// checks at every step that a sequence finds exactly its own tokens in its pages.
#include "engine/scheduler.hpp"
#include "core/error.hpp"
#include "engine/page_pool.hpp"
#include "kernels/args.hpp"
#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

namespace sluice {
namespace {

constexpr int kPage = kernels::kPageTokens;

// The token a sequence goes on with: a function of all its tokens, as a model's greedy choice is.
Token continuation(const std::vector<Token>& tokens) {
    std::uint64_t hash = 7;
    for (const Token token : tokens) hash = kernels::mix64(hash ^ static_cast<std::uint64_t>(token));
    return static_cast<Token>(hash % 1000);
}

struct Job {
    std::vector<Token> prompt;
    int new_tokens = 1;
};

class FakeRun {
public:
    FakeRun(BatchPolicy policy, int pages)
        : policy_(policy), scheduler_(policy, pages), slots_(static_cast<std::size_t>(pages * kPage), -1) {}

    // The completions of all jobs, in their order.
    std::vector<std::vector<Token>> run(const std::vector<Job>& jobs) {
        std::size_t next = 0;
        std::vector<std::vector<Token>> done(jobs.size());
        while (next < jobs.size() || !scheduler_.empty()) {
            for (; next < jobs.size() && scheduler_.wants_more(); ++next)
                owner_[scheduler_.admit(jobs[next].prompt)] = next;
            const Scheduler::Work work = scheduler_.next();
            check_and_store(work);
            scheduler_.ran();
            for (const Ticket ticket : work.sampled) {
                const std::size_t job = owner_.at(ticket);
                const Token token = continuation(scheduler_.tokens(ticket));
                done[job].push_back(token);
                scheduler_.append(ticket, token);
                if (static_cast<int>(done[job].size()) == jobs[job].new_tokens) scheduler_.finish(ticket);
            }
            ++steps_;
        }
        return done;
    }

    // The positions whose logits each text was given, in the order they came; job j wants those from
    // jobs[j].new_tokens on.
    std::vector<std::vector<int>> score(const std::vector<Job>& jobs) {
        std::size_t next = 0;
        std::vector<std::vector<int>> given(jobs.size());
        while (next < jobs.size() || !scheduler_.empty()) {
            for (; next < jobs.size() && scheduler_.wants_more(); ++next)
                owner_[scheduler_.admit(jobs[next].prompt, jobs[next].new_tokens)] = next;
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

    const Scheduler& scheduler() const { return scheduler_; }
    int steps() const { return steps_; }
    std::int64_t rows() const { return rows_; }
    std::int64_t masked() const { return masked_; }

private:
    void check_and_store(const Scheduler::Work& work) {
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
    void check_masked(const Step& step, const StepSequence& sequence) {
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
    void check_context(const Step& step, int row, const std::vector<Token>& tokens) const {
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

    BatchPolicy policy_;
    Scheduler scheduler_;
    std::vector<Token> slots_;
    std::map<Ticket, std::size_t> owner_;
    int steps_ = 0;
    std::int64_t rows_ = 0, masked_ = 0;
};

std::vector<Job> random_jobs(std::mt19937& random, int count, int longest) {
    const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
    std::vector<Token> header;
    for (int i = 0; i < 150; ++i) header.push_back(below(1000));
    std::vector<Job> jobs;
    for (int j = 0; j < count; ++j) {
        Job job;
        if (below(2) == 0) job.prompt = header;
        const int tail = 1 + below(longest - 170);
        for (int i = 0; i < tail; ++i) job.prompt.push_back(below(1000));
        job.new_tokens = 1 + below(std::min(100, longest - static_cast<int>(job.prompt.size())));
        jobs.push_back(std::move(job));
    }
    return jobs;
}

std::vector<std::vector<Token>> expected_of(const std::vector<Job>& jobs) {
    std::vector<std::vector<Token>> all;
    for (const Job& job : jobs) {
        std::vector<Token> tokens = job.prompt;
        for (int i = 0; i < job.new_tokens; ++i) tokens.push_back(continuation(tokens));
        all.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(job.prompt.size()), tokens.end());
    }
    return all;
}

TEST(Scheduler, RandomRunsFinishRightUnderEveryPolicy) {
    std::mt19937 random(1);
    for (int round = 0; round < 60; ++round) {
        BatchPolicy policy;
        policy.max_sequences = 1 + static_cast<int>(random() % 12);
        policy.max_rows = policy.max_sequences + static_cast<int>(random() % 300);
        policy.prefill_chunk = 1 + static_cast<int>(random() % 200);
        policy.share_prefixes = round % 3 != 0;
        const int pages = 10 + static_cast<int>(random() % 30);
        const std::vector<Job> jobs = random_jobs(random, 40, 10 * kPage);
        FakeRun run(policy, pages);
        EXPECT_EQ(run.run(jobs), expected_of(jobs)) << "round " << round;
        EXPECT_EQ(run.scheduler().pages_held(), 0) << "a page was lost";
        if (HasFailure()) return;
    }
}

TEST(Scheduler, PreemptsWhenPagesRunOutAndSharesPrefixes) {
    std::mt19937 random(2);
    std::vector<Job> jobs = random_jobs(random, 30, 10 * kPage);
    FakeRun tight({8, 64, 64, false}, 12);
    EXPECT_EQ(tight.run(jobs), expected_of(jobs));
    EXPECT_GT(tight.scheduler().preemptions(), 0);
    FakeRun shared({8, 64, 64, true}, 100);
    EXPECT_EQ(shared.run(jobs), expected_of(jobs));
    EXPECT_GT(shared.scheduler().shared_tokens(), 0);
    FakeRun alone({8, 64, 64, false}, 100);
    EXPECT_EQ(alone.run(jobs), expected_of(jobs));
    EXPECT_LT(shared.rows(), alone.rows()) << "sharing saved no work";
}

TEST(Scheduler, MaskedPositionsReachToTheEndOfEachChunk) {
    Scheduler scheduler({4, 32, 3, true, Token{7}}, 64);
    const Ticket first = scheduler.admit({1, 7, 2, 7, 3, 4});
    EXPECT_EQ(scheduler.next().step.masked, (std::vector<std::int32_t>{1}));
    scheduler.ran();
    EXPECT_EQ(scheduler.next().step.masked, (std::vector<std::int32_t>{1, 3}));
    scheduler.ran();
    scheduler.append(first, 7);
    scheduler.admit({7, 7});
    const Step step = scheduler.next().step;
    EXPECT_EQ(step.masked, (std::vector<std::int32_t>{1, 3, 6, 0, 1}));
    ASSERT_EQ(step.sequences.size(), 2U);
    EXPECT_EQ(step.sequences[1].first_masked, 3);
    EXPECT_EQ(step.sequences[1].masked, 2);
}

// In prompts and among the tokens that were appended, whether a sequence was preempted or shares pages.
TEST(Scheduler, MaskedPositionsOutliveThePages) {
    std::mt19937 random(4);
    const std::vector<Job> jobs = random_jobs(random, 30, 10 * kPage);
    const std::vector<std::vector<Token>> expected = expected_of(jobs);
    for (const bool share : {false, true}) {
        for (const std::size_t job : {3U, 11U, 29U}) {
            const Token masked = expected[job][expected[job].size() / 2];
            FakeRun run({8, 64, 17, share, masked}, 12);
            EXPECT_EQ(run.run(jobs), expected);
            EXPECT_GT(run.scheduler().preemptions(), 0);
            EXPECT_GT(run.masked(), 0);
        }
    }
}

// Under every policy, preempted or not, behind shared pages or not: every position that is wanted, once.
TEST(Scheduler, EveryWantedPositionIsGivenOnce) {
    std::mt19937 random(3);
    std::int64_t preemptions = 0;
    std::int64_t shared = 0;
    for (int round = 0; round < 60; ++round) {
        BatchPolicy policy;
        policy.max_sequences = 1 + static_cast<int>(random() % 12);
        policy.max_rows = policy.max_sequences + static_cast<int>(random() % 300);
        policy.prefill_chunk = 1 + static_cast<int>(random() % 200);
        policy.share_prefixes = round % 3 != 0;
        std::vector<Job> jobs = random_jobs(random, 40, 10 * kPage);
        std::vector<std::vector<int>> wanted;
        for (Job& job : jobs) {
            const auto size = static_cast<int>(job.prompt.size());
            job.new_tokens = random() % 3 == 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(size));
            wanted.emplace_back();
            for (int position = job.new_tokens; position < size; ++position)
                wanted.back().push_back(position);
        }
        FakeRun run(policy, 10 + static_cast<int>(random() % 10));
        EXPECT_EQ(run.score(jobs), wanted) << "round " << round;
        EXPECT_EQ(run.scheduler().pages_held(), 0) << "a page was lost";
        preemptions += run.scheduler().preemptions();
        shared += run.scheduler().shared_tokens();
        if (HasFailure()) return;
    }
    EXPECT_GT(preemptions, 0);
    EXPECT_GT(shared, 0);
}

TEST(Scheduler, WantedPositionsAreWithinTheSequence) {
    Scheduler scheduler({4, 32, 16, true}, 64);
    EXPECT_THROW(scheduler.admit({1, 2, 3}, 3), Error);
    EXPECT_THROW(scheduler.admit({1, 2, 3}, -1), Error);
}

TEST(Scheduler, DecodesWhilePromptsArePrefilled) {
    Scheduler scheduler({4, 32, 16, true}, 64);
    const Ticket first = scheduler.admit({1, 2, 3});
    Scheduler::Work work = scheduler.next();
    scheduler.ran();
    ASSERT_EQ(work.sampled, std::vector<Ticket>{first});
    scheduler.append(first, 4);
    scheduler.admit(std::vector<Token>(100, 5));
    work = scheduler.next();
    EXPECT_EQ(work.decode_rows, 1);
    EXPECT_EQ(work.prefill_rows, 16);
    EXPECT_EQ(work.sampled, std::vector<Ticket>{first});
}

TEST(Scheduler, ASequenceMayBeFinishedAtAnyTime) {
    Scheduler scheduler({1, 64, 64, true}, 8);
    const Ticket prefilling = scheduler.admit(std::vector<Token>(100, 1));
    const Ticket waiting = scheduler.admit({1, 2, 3});
    EXPECT_EQ(scheduler.next().prefill_rows, 64);
    scheduler.ran();
    scheduler.finish(waiting);
    EXPECT_EQ(scheduler.waiting(), 0);
    EXPECT_GT(scheduler.pages_held(), 0);
    scheduler.finish(prefilling);
    EXPECT_TRUE(scheduler.empty());
    EXPECT_EQ(scheduler.pages_held(), 0);
    EXPECT_THROW(scheduler.finish(waiting), Error);
}

TEST(PagePool, KnownPagesStayUntilTheirRoomIsNeeded) {
    PagePool pool(3);
    const std::vector<Token> text(kPage, 1);
    const std::vector<Token> other(kPage, 2);
    const PageId page = *pool.take();
    pool.publish(page, std::nullopt, text);
    pool.give_back(page);
    EXPECT_EQ(pool.available(), 3);
    EXPECT_FALSE(pool.find(std::nullopt, other));
    EXPECT_EQ(pool.find(std::nullopt, text), page);
    EXPECT_FALSE(pool.find(page, text)) << "the same tokens after other tokens are another text";
    EXPECT_EQ(pool.available(), 2);
    pool.give_back(page);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(pool.take());
    EXPECT_FALSE(pool.take());
    EXPECT_FALSE(pool.find(std::nullopt, text));
}

TEST(PagePool, TheLongestUnusedGoesFirst) {
    PagePool pool(2);
    const std::vector<Token> a(kPage, 1);
    const std::vector<Token> b(kPage, 2);
    const PageId first = *pool.take();
    const PageId second = *pool.take();
    pool.publish(first, std::nullopt, a);
    pool.publish(second, std::nullopt, b);
    pool.give_back(first);
    pool.give_back(second);
    EXPECT_EQ(pool.take(), first);
    EXPECT_TRUE(pool.find(std::nullopt, b));
    EXPECT_FALSE(pool.find(std::nullopt, a));
}

TEST(PagePool, GivingBackTwiceIsABug) {
    PagePool pool(1);
    const PageId page = *pool.take();
    pool.give_back(page);
    EXPECT_THROW(pool.give_back(page), Error);
}

}  // namespace
}  // namespace sluice
