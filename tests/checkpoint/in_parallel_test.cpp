// How many threads there are to be, and what they do.
#include "checkpoint/in_parallel.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace sluice {
namespace {

TEST(InParallel, EachThingIsDoneOnce) {
    for (const int threads : {1, 3}) {
        std::vector<std::atomic<int>> done(100);
        in_parallel(done.size(), threads, [&](std::size_t thing, std::size_t thread) {
            EXPECT_LT(thread, static_cast<std::size_t>(threads));
            ++done[thing];
        });
        for (const auto& times : done) EXPECT_EQ(times, 1);
    }
}

TEST(InParallel, NothingIsBegunAfterAnException) {
    std::atomic<int> done = 0;
    const auto work = [&](std::size_t thing, std::size_t) {
        if (thing == 3) throw std::runtime_error("three");
        ++done;
    };
    EXPECT_THROW(in_parallel(1000, 1, work), std::runtime_error);
    EXPECT_EQ(done, 3);
    EXPECT_THROW(in_parallel(1000, 4, work), std::runtime_error);
}

// As batch systems and mpirun bind processes.
TEST(UsableThreads, AreThoseOfTheProcessorsThatThisProcessMayUse) {
    EXPECT_EQ(usable_threads(7), 7);
    cpu_set_t all;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    EXPECT_EQ(usable_threads(0), CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(usable_threads(0), 1);
    ASSERT_EQ(::sched_setaffinity(0, sizeof all, &all), 0);
}

}  // namespace
}  // namespace sluice
