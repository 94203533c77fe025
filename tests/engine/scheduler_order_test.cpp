// What the order of starts saves: rows of common beginnings, and steps at the end of a run.
#include "engine/fake_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace sluice::test {
namespace {

std::vector<Token> random_tokens(std::mt19937& random, int count) {
    std::vector<Token> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(static_cast<Token>(random() % 1000));
    return tokens;
}

// Request i begins with header i % headers.size().
std::vector<Job> interleaved(std::mt19937& random, int count, const std::vector<std::vector<Token>>& headers,
                             int tail, int new_tokens) {
    std::vector<Job> jobs;
    for (int i = 0; i < count; ++i) {
        Job job{headers[static_cast<std::size_t>(i) % headers.size()], new_tokens};
        const std::vector<Token> own = random_tokens(random, tail);
        job.prompt.insert(job.prompt.end(), own.begin(), own.end());
        jobs.push_back(std::move(job));
    }
    return jobs;
}

std::int64_t new_tokens_of(const std::vector<Job>& jobs) {
    return std::accumulate(jobs.begin(), jobs.end(), std::int64_t{0},
                           [](std::int64_t sum, const Job& job) { return sum + job.new_tokens; });
}

TEST(SchedulerOrder, AnEqualBeginningIsComputedOnceByAllThatArriveTogether) {
    std::mt19937 random(1);
    const std::vector<Job> jobs = interleaved(random, 64, {random_tokens(random, 10 * kPage)}, 20, 3);
    for (const int chunk : {50, 64, 512, 4096}) {
        FakeRun run({64, 4096, chunk, true}, 1000);
        run.run(jobs);
        EXPECT_EQ(run.rows(), 10 * kPage + 64 * 20 + 64 * (3 - 1)) << "chunks of " << chunk;
    }
}

// One after the other they extend each other: each page is computed once.
TEST(SchedulerOrder, NestedBeginningsAreComputedOnce) {
    std::mt19937 random(2);
    const std::vector<Token> text = random_tokens(random, 8 * kPage);
    std::vector<Job> jobs;
    for (int i = 1; i <= 8; ++i) jobs.push_back({{text.begin(), text.begin() + i * kPage}, 1});
    FakeRun run({8, 512, 512, true}, 100);
    run.run(jobs);
    // A prompt's last token is computed for its logits, and with it its last page.
    EXPECT_EQ(run.rows(), 8 * kPage + 7 * kPage);
}

TEST(SchedulerOrder, OthersStartWhileABeginningIsComputed) {
    std::mt19937 random(3);
    const std::vector<Token> header = random_tokens(random, 4 * kPage);
    Scheduler scheduler({8, 512, kPage, true}, 100);
    std::vector<Token> longer = header;
    longer.push_back(1);
    scheduler.admit(header, 5);
    scheduler.admit(longer, 5);
    const Ticket stranger = scheduler.admit(random_tokens(random, 10));
    const Scheduler::Work work = scheduler.next();
    EXPECT_EQ(work.sampled, std::vector<Ticket>{stranger});
    EXPECT_EQ(work.prefill_rows, kPage + 10);
    EXPECT_EQ(scheduler.running(), 2);
    EXPECT_EQ(scheduler.waiting(), 1);
}

// The second computes for itself what the first decodes meanwhile; the third begins with all that it has.
TEST(SchedulerOrder, APageThatTwoComputedIsFoundByTheThird) {
    std::mt19937 random(8);
    const std::vector<Token> text = random_tokens(random, 5 * kPage);
    const auto begin = [&](int tokens) { return std::vector<Token>(text.begin(), text.begin() + tokens); };
    constexpr int kChunk = kPage / 4;
    Scheduler scheduler({8, 512, kChunk, true}, 100);
    const Ticket first = scheduler.admit(begin(kPage - 2), 5);
    std::int64_t decoded = kPage - 2;
    const auto step = [&] {
        const Scheduler::Work work = scheduler.next();
        scheduler.ran();
        for (const Ticket ticket : work.sampled)
            if (ticket == first) scheduler.append(first, text[static_cast<std::size_t>(decoded++)]);
    };
    while (decoded == kPage - 2) step();
    scheduler.admit(begin(5 * kPage));
    for (int i = 0; i < 8; ++i) step();
    EXPECT_EQ(scheduler.shared_tokens(), 0);
    EXPECT_EQ(scheduler.pages_held(), 3) << "the first page, and one page more of each";
    scheduler.admit(begin(2 * kPage + 1));
    step();
    EXPECT_EQ(scheduler.waiting(), 0);
    EXPECT_EQ(scheduler.shared_tokens(), 2 * kPage);
}

// Both fit, but not together; the first is computed in several steps.
TEST(SchedulerOrder, PagesArePromisedOnce) {
    std::mt19937 random(9);
    const std::vector<Job> jobs = {{random_tokens(random, 4 * kPage - 5), 5},
                                   {random_tokens(random, 4 * kPage - 5), 5}};
    FakeRun run({8, 512, kPage, true}, 6);
    run.run(jobs);
    EXPECT_EQ(run.scheduler().preemptions(), 0);
}

// A run that never publishes what is waited for holds nobody up.
TEST(SchedulerOrder, NobodyWaitsForASequenceThatIsGone) {
    std::mt19937 random(4);
    const std::vector<Token> header = random_tokens(random, 4 * kPage);
    Scheduler scheduler({8, 512, kPage, true}, 100);
    const Ticket first = scheduler.admit(header, 1);
    const Ticket second = scheduler.admit(header, 1);
    scheduler.next();
    scheduler.ran();
    EXPECT_EQ(scheduler.running(), 1);
    scheduler.finish(first);
    EXPECT_EQ(scheduler.next().prefill_rows, kPage);
    scheduler.ran();
    EXPECT_EQ(scheduler.shared_tokens(), kPage) << "what the first had computed";
    scheduler.finish(second);
    EXPECT_TRUE(scheduler.empty());
}

// The cache holds few of the beginnings at a time.
TEST(SchedulerOrder, InterleavedGroupsComputeTheirBeginningsOnce) {
    std::mt19937 random(5);
    std::vector<std::vector<Token>> headers;
    for (int i = 0; i < 20; ++i) headers.push_back(random_tokens(random, 10 * kPage));
    const std::vector<Job> jobs = interleaved(random, 200, headers, 30, 8);
    FakeRun run({8, 1024, 512, true}, 60);
    run.run(jobs);
    EXPECT_EQ(run.scheduler().preemptions(), 0);
    const std::int64_t own = 200 * 30 + new_tokens_of(jobs) - 200;
    EXPECT_LE(run.rows(), own + 22 * 10 * kPage) << "of 20 beginnings, two may have been computed again";
}

TEST(SchedulerOrder, TheLongestStartFirst) {
    std::mt19937 random(6);
    std::vector<Job> jobs;
    for (int i = 0; i < 60; ++i) jobs.push_back({random_tokens(random, 10), 10});
    jobs.push_back({random_tokens(random, 10), 100});
    for (const bool share : {false, true}) {
        FakeRun run({6, 128, 128, share}, 100);
        run.run(jobs);
        // Five beside the long one do the 60 in twelve rounds.
        EXPECT_LE(run.steps(), 12 * 10 + 2);
    }
}

TEST(SchedulerOrder, OnRequestAllStartAsTheyArrive) {
    std::mt19937 random(10);
    std::vector<Job> jobs =
        interleaved(random, 40, {random_tokens(random, 4 * kPage), random_tokens(random, 3 * kPage)}, 20, 3);
    BatchPolicy policy{1, 512, 512, true};
    policy.arrival_order = true;
    FakeRun alone(policy, 100);
    alone.run(jobs);
    EXPECT_TRUE(std::ranges::is_sorted(alone.finished()));
    policy.max_sequences = 8;
    FakeRun together(policy, 100);
    together.run(jobs);
    EXPECT_EQ(together.rows(), 7 * kPage + 40 * (20 + 3 - 1)) << "beginnings are waited for all the same";
}

TEST(SchedulerOrder, NobodyStarves) {
    std::mt19937 random(7);
    std::vector<Job> jobs;
    jobs.push_back({random_tokens(random, 5), 1});
    for (int i = 0; i < 200; ++i) jobs.push_back({random_tokens(random, 5), 10});
    BatchPolicy policy{1, 64, 64, true};
    policy.lookahead_sequences = 4;
    FakeRun run(policy, 10);
    run.run(jobs);
    const auto place = std::ranges::find(run.finished(), 0U) - run.finished().begin();
    EXPECT_GT(place, 4);
    EXPECT_LE(place, 4 * 4) << "passed over more often than it should be";
}

TEST(SchedulerOrder, TheLookaheadIsBoundedBySequencesAndByTokens) {
    BatchPolicy policy{1, 64, 64, true};
    policy.lookahead_sequences = 3;
    policy.lookahead_tokens = 100;
    Scheduler scheduler(policy, 10);
    scheduler.admit({1});
    scheduler.admit({2});
    EXPECT_TRUE(scheduler.wants_more());
    const Ticket third = scheduler.admit({3});
    EXPECT_FALSE(scheduler.wants_more());
    scheduler.finish(third);
    EXPECT_TRUE(scheduler.wants_more());
    const Ticket wide = scheduler.admit(std::vector<Token>(98, 4));
    EXPECT_FALSE(scheduler.wants_more());
    scheduler.finish(wide);
    EXPECT_TRUE(scheduler.wants_more());
}

}  // namespace
}  // namespace sluice::test
