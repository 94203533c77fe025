#include "comm/collective_cases.hpp"
#include "comm/placement.hpp"
#include "support/rank_main.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace sluice::test {
namespace {

class Mpi : public testing::TestWithParam<CollectiveCase> {};

TEST_P(Mpi, Holds) { GetParam().run(world()); }

INSTANTIATE_TEST_SUITE_P(Cases, Mpi, testing::ValuesIn(collective_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Mpi, NamesTheCallThatFailed) {
    std::vector<std::byte> bytes(8);
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

TEST(Mpi, HasTheRanksThatWereStarted) {
    const char* started = std::getenv("OMPI_COMM_WORLD_SIZE");
    ASSERT_NE(started, nullptr);
    EXPECT_EQ(world().size(), std::atoi(started));
}

}  // namespace
}  // namespace sluice::test
