// The scheduler's promises under every policy: nothing is lost, mixed up or given twice.
#include "core/error.hpp"
#include "engine/fake_run.hpp"
#include "engine/page_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

namespace sluice::test {
namespace {

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
    for (Job& job : jobs) job.new_tokens = 10 * kPage - static_cast<int>(job.prompt.size());
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

// Under every policy, behind shared pages or not: every position that is wanted, once.
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
    EXPECT_EQ(preemptions, 0) << "a text starts when there is room for all of it, and does not grow";
    EXPECT_GT(shared, 0);
}

TEST(Scheduler, WantedPositionsAreWithinTheSequence) {
    Scheduler scheduler({4, 32, 16, true}, 64);
    EXPECT_THROW(scheduler.admit_text({1, 2, 3}, 3), Error);
    EXPECT_THROW(scheduler.admit_text({1, 2, 3}, -1), Error);
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

TEST(Scheduler, RandomRunsFinishRightWhileLimitsChange) {
    std::mt19937 random(4);
    for (int round = 0; round < 30; ++round) {
        const std::vector<Job> jobs = random_jobs(random, 40, 10 * kPage);
        FakeRun run({12, 200, 100, round % 3 != 0}, 10 + static_cast<int>(random() % 30));
        run.limits = [&] {
            return std::pair(1 + static_cast<int>(random() % 12), 1 + static_cast<int>(random() % 200));
        };
        EXPECT_EQ(run.run(jobs), expected_of(jobs)) << "round " << round;
        if (HasFailure()) return;
    }
}

TEST(Scheduler, LimitsAreOfStartsAndOfRows) {
    Scheduler scheduler({4, 32, 32, false}, 64);
    for (int i = 0; i < 4; ++i) scheduler.admit(std::vector<Token>(20, i));
    scheduler.limit(2, 8);
    EXPECT_EQ(scheduler.next().prefill_rows, 8);
    scheduler.limit(2, 32);
    EXPECT_EQ(scheduler.next().prefill_rows, 32);
    EXPECT_EQ(scheduler.running(), 2);
    scheduler.limit(1, 32);
    scheduler.next();
    EXPECT_EQ(scheduler.running(), 2) << "whoever runs goes on";
    for (const auto& [sequences, rows] : {std::pair(0, 8), {5, 8}, {2, 0}, {2, 33}})
        EXPECT_THROW(scheduler.limit(sequences, rows), Error);
}

// However low the limit: every decoding sequence gets its token, and prompts as many rows as all of them.
TEST(Scheduler, NeitherPromptsNorDecodingStarve) {
    Scheduler scheduler({8, 32, 32, false}, 64);
    for (int i = 0; i < 4; ++i) scheduler.admit({i});
    scheduler.next();
    scheduler.ran();
    for (Ticket ticket = 0; ticket < 4; ++ticket) scheduler.append(ticket, 9);
    scheduler.admit(std::vector<Token>(100, 5));
    scheduler.limit(8, 1);
    for (int step = 0; step < 5; ++step) {
        const Scheduler::Work work = scheduler.next();
        EXPECT_EQ(work.decode_rows, 4);
        EXPECT_EQ(work.prefill_rows, 4);
        scheduler.ran();
        for (Ticket ticket = 0; ticket < 4; ++ticket) scheduler.append(ticket, 9);
    }
}

// Sequences that grow mostly find pages of their own: little work is done twice.
TEST(Scheduler, FewPagesCostLittleWork) {
    std::mt19937 random(5);
    std::vector<Job> jobs;
    std::int64_t rows = 0;
    for (int i = 0; i < 300; ++i) {
        Job& job = jobs.emplace_back();
        for (int t = 0; t < 40 + i % 50; ++t) job.prompt.push_back(static_cast<Token>(random() % 1000));
        job.new_tokens = 100 + i % 200;
        rows += std::ssize(job.prompt) + job.new_tokens - 1;
    }
    FakeRun run({256, 1024, 1024, true}, 150);
    EXPECT_EQ(run.run(jobs), expected_of(jobs));
    EXPECT_LT(run.rows(), rows * 5 / 4) << run.scheduler().preemptions() << " preemptions";
}

TEST(Scheduler, WhatMayGrowWithoutLimitRunsTogetherAllTheSame) {
    Scheduler scheduler({32, 64, 64, false}, 100);
    for (int i = 0; i < 32; ++i) scheduler.admit({i}, 90 * kPage);
    scheduler.next();
    EXPECT_EQ(scheduler.running(), 20) << "with five pages each";
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

}  // namespace
}  // namespace sluice::test
