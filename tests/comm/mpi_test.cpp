#include "comm/collective_cases.hpp"
#include "support/rank_main.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace sluice::test {
namespace {

class Mpi : public testing::TestWithParam<CollectiveCase> {};

TEST_P(Mpi, Holds) { GetParam().run(world()); }

INSTANTIATE_TEST_SUITE_P(Cases, Mpi, testing::ValuesIn(collective_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Mpi, HasTheRanksThatWereStarted) {
    const char* started = std::getenv("OMPI_COMM_WORLD_SIZE");
    ASSERT_NE(started, nullptr);
    EXPECT_EQ(world().size(), std::atoi(started));
}

}  // namespace
}  // namespace sluice::test
