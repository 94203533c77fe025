#include "comm/collective_cases.hpp"
#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "support/rank_main.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace sluice::test {
namespace {

class Mpi : public testing::TestWithParam<CollectiveCase> {};

TEST_P(Mpi, Holds) { GetParam().run(world()); }

INSTANTIATE_TEST_SUITE_P(Cases, Mpi, testing::ValuesIn(collective_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(MpiRanks, NamesTheCallThatFailed) {
    std::vector<std::byte> bytes(2 << 20);  // more than goes through shared memory
    try {
        world().broadcast(bytes, world().size());
        FAIL() << "a root that is no rank";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Internal);
        EXPECT_THAT(error.what(), testing::StartsWith(fmt::format(
                                      "MPI_Bcast failed on rank {} of {} (host {}): ", world().rank(),
                                      world().size(), host_name())));
    }
}

// The same ranks, in a group of its own, with SLUICE_SHARED_MEMORY=wish.
std::unique_ptr<Communicator> ranks_with(const char* wish) {
    setenv("SLUICE_SHARED_MEMORY", wish, 1);
    auto ranks = world().split(0, world().rank());
    unsetenv("SLUICE_SHARED_MEMORY");
    return ranks;
}

int shared_mappings() {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);)
        if (line.find("memfd:sluice") != std::string::npos) ++count;
    return count;
}

TEST(MpiRanks, RanksOfOneMachineShareMemory) {
    const int before = shared_mappings();
    EXPECT_EQ(before, world().size() > 1 ? 1 : 0);
    {
        const auto shared = ranks_with("on");
        EXPECT_EQ(shared_mappings(), 2 * before);
        const auto messages = ranks_with("off");
        EXPECT_EQ(shared_mappings(), 2 * before);
    }
    EXPECT_EQ(shared_mappings(), before);
}

TEST(MpiRanks, AWishThatOneRankGetsWrongIsRefusedOnAll) {
    for (const char* of_the_others : {"on", "maybe"}) {
        EXPECT_THROW(ranks_with(world().rank() == 0 ? "maybe" : of_the_others), AgreedError);
        unsetenv("SLUICE_SHARED_MEMORY");
    }
}

TEST(MpiRanks, SharedMemoryAndMessagesHaveTheSameBits) {
    const auto messages = ranks_with("off");
    std::mt19937 random(world().size());
    for (int round = 0; round < 100; ++round) {
        const std::size_t count = random() % (round % 10 == 0 ? 300'000 : 5000);
        std::mt19937 own(static_cast<unsigned>(1000 * round + world().rank()));
        std::vector<float> values(count);
        std::ranges::generate(values, [&] {
            return std::ldexp(static_cast<float>(own() % 1000) - 500, static_cast<int>(own() % 40) - 20);
        });
        std::vector<float> others = values;
        world().all_reduce_sum(values);
        messages->all_reduce_sum(others);
        ASSERT_EQ(std::memcmp(values.data(), others.data(), count * sizeof(float)), 0)
            << count << " elements";
    }
}

TEST_P(Mpi, HoldsByMessages) { GetParam().run(*ranks_with("off")); }

TEST(MpiRanks, HasTheRanksThatWereStarted) {
    const char* started = std::getenv("OMPI_COMM_WORLD_SIZE");
    ASSERT_NE(started, nullptr);
    EXPECT_EQ(world().size(), std::atoi(started));
}

}  // namespace
}  // namespace sluice::test
