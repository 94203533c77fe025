#include "comm/collective_cases.hpp"
#include "comm/communicator.hpp"
#include "comm/shared_sums.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace sluice::test {
namespace {

class Threads : public testing::TestWithParam<std::tuple<CollectiveCase, int>> {};

TEST_P(Threads, Holds) {
    const auto& [one, size] = GetParam();
    run_on_threads(size, one.run);
}

INSTANTIATE_TEST_SUITE_P(Cases, Threads,
                         testing::Combine(testing::ValuesIn(collective_cases()),
                                          testing::Values(1, 2, 3, 4, 5, 8)),
                         [](const auto& test) {
                             return fmt::format("{}_on_{}", std::get<0>(test.param).name,
                                                std::get<1>(test.param));
                         });

// As on machines with so many ranks each.
class Blocks : public testing::TestWithParam<std::tuple<CollectiveCase, std::pair<int, int>>> {};

TEST_P(Blocks, Hold) {
    const auto& [one, shape] = GetParam();
    run_on_threads(shape.first, [&](Communicator& comm) {
        one.run(*make_in_blocks(comm.split(0, comm.rank()), shape.second));
    });
}

INSTANTIATE_TEST_SUITE_P(Cases, Blocks,
                         testing::Combine(testing::ValuesIn(collective_cases()),
                                          testing::Values(std::pair(6, 2), std::pair(8, 4))),
                         [](const auto& test) {
                             return fmt::format("{}_on_{}_by_{}", std::get<0>(test.param).name,
                                                std::get<1>(test.param).first,
                                                std::get<1>(test.param).second);
                         });

TEST(BlocksOfRanks, AreWholeSubtrees) {
    EXPECT_THROW(run_on_threads(6, [](Communicator& comm) { make_in_blocks(comm.split(0, comm.rank()), 3); }),
                 Error);
    EXPECT_THROW(run_on_threads(6, [](Communicator& comm) { make_in_blocks(comm.split(0, comm.rank()), 4); }),
                 Error);
}

class Self : public testing::TestWithParam<CollectiveCase> {};

TEST_P(Self, Holds) {
    const auto self = make_self();
    ASSERT_EQ(self->size(), 1);
    GetParam().run(*self);
}

INSTANTIATE_TEST_SUITE_P(Cases, Self, testing::ValuesIn(collective_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Self, AbortEndsTheProcessWithTheCode) {
    EXPECT_EXIT(make_self()->abort(7), testing::ExitedWithCode(7), "");
}

TEST(Threads, AbortWakesTheOthers) {
    std::atomic<int> woken = 0;
    const auto work = [&](Communicator& comm) {
        if (comm.rank() == 1) comm.abort(3);
        try {
            comm.barrier();
        } catch (const Aborted& aborted) {
            EXPECT_EQ(aborted.code(), ExitCode::Checkpoint);
            ++woken;
            throw;
        }
    };
    EXPECT_THROW(run_on_threads(4, work), Aborted);
    EXPECT_EQ(woken, 3);
}

TEST(Threads, AbortWakesOtherGroups) {
    std::atomic<int> woken = 0;
    const auto work = [&](Communicator& comm) {
        const auto part = comm.split(comm.rank() / 2, 0);
        if (comm.rank() == 0) comm.abort(3);
        try {
            for (;;) {  // ranks 2 and 3 have a group of their own and never miss a partner in it
                std::vector<float> values(100);
                part->all_reduce_sum(values);
            }
        } catch (const Aborted&) {
            ++woken;
            throw;
        }
    };
    EXPECT_THROW(run_on_threads(4, work), Aborted);
    EXPECT_EQ(woken, 3);
}

TEST(Threads, TheErrorOfTheRankThatFailedIsThrown) {
    const auto work = [](Communicator& comm) {
        if (comm.rank() == 2) throw std::runtime_error("rank 2's own");
        comm.barrier();
    };
    try {
        run_on_threads(4, work);
        FAIL() << "nothing thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "rank 2's own");
    }
}

TEST(Threads, DifferentSizesAreAnError) {
    const auto work = [](Communicator& comm) {
        std::vector<float> values(comm.rank() == 0 ? 4 : 5);
        comm.all_reduce_sum(values);
    };
    EXPECT_THROW(run_on_threads(3, work), Error);
}

}  // namespace
}  // namespace sluice::test
