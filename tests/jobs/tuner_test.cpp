// What a job's scheduler is kept to, by which of its limits are given.
#include "jobs/model_job.hpp"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

struct Limits {
    int first_rows = 0;  // of a step of prompts
    int running = 0;     // sequences, after some steps
};

// Of a thousand prompts of two tokens, which nobody ends.
Limits limits_with(int max_batch, int max_batch_tokens, bool& tuned) {
    Setup setup;
    setup.batch = {512, 1024};
    JobOptions options;
    options.max_batch = max_batch;
    options.max_batch_tokens = max_batch_tokens;
    Scheduler scheduler({512, 1024, 1024, false}, 4096);
    tuned = tuner_of(setup, options, scheduler) != nullptr;
    for (int i = 0; i < 1000; ++i) scheduler.admit({1, 2}, 50);
    Limits found;
    for (int step = 0; step < 10; ++step) {
        const Scheduler::Work work = scheduler.next();
        if (step == 0) found.first_rows = work.prefill_rows;
        scheduler.ran();
        for (const Ticket ticket : work.sampled) scheduler.append(ticket, 3);
    }
    found.running = scheduler.running();
    return found;
}

TEST(TunerOf, KeepsToWhatIsGivenAndChoosesTheRest) {
    bool tuned = false;
    const Limits free = limits_with(0, 0, tuned);
    EXPECT_TRUE(tuned);
    EXPECT_EQ(free.first_rows, 256) << "where the tuner begins";
    EXPECT_EQ(free.running, 256);

    const Limits free_rows = limits_with(512, 0, tuned);
    EXPECT_TRUE(tuned);
    EXPECT_EQ(free_rows.first_rows, 256);
    EXPECT_EQ(free_rows.running, 512);

    const Limits free_sequences = limits_with(0, 1024, tuned);
    EXPECT_TRUE(tuned);
    EXPECT_EQ(free_sequences.first_rows, 512) << "of 256 prompts";
    EXPECT_EQ(free_sequences.running, 256);

    const Limits given = limits_with(512, 1024, tuned);
    EXPECT_FALSE(tuned);
    EXPECT_EQ(given.first_rows, 1024);
    EXPECT_EQ(given.running, 512);
}

}  // namespace
}  // namespace sluice::test
