#include "comm/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace sluice::test {
namespace {

MachineRecord on(std::string_view machine, std::initializer_list<int> cpus) {
    MachineRecord record;
    std::ranges::copy(machine, record.machine.begin());
    for (const int cpu : cpus)
        record.cpus[static_cast<std::size_t>(cpu) / 64] |= std::uint64_t{1}
                                                           << (static_cast<unsigned>(cpu) % 64);
    return record;
}

TEST(Placement, RanksThatShareAllCpusDivideThem) {
    const std::vector<MachineRecord> all(3, on("a", {0, 1, 2, 3, 64, 65, 66}));
    for (int rank = 0; rank < 3; ++rank) {
        const Placement placement = placement_of(all, rank);
        EXPECT_EQ(placement.local_rank, rank);
        EXPECT_EQ(placement.local_size, 3);
        EXPECT_EQ(placement.threads, 2);
    }
}

TEST(Placement, BoundRanksKeepTheirOwnCpus) {
    const std::vector all = {on("a", {0, 1, 2}), on("a", {3, 4, 5, 6}), on("a", {7})};
    EXPECT_EQ(placement_of(all, 0).threads, 3);
    EXPECT_EQ(placement_of(all, 1).threads, 4);
    EXPECT_EQ(placement_of(all, 2).threads, 1);
}

TEST(Placement, ThirdsAddUpToOne) {
    const std::vector<MachineRecord> all(3, on("a", {0, 1, 2}));
    EXPECT_EQ(placement_of(all, 0).threads, 1);
    const std::vector<MachineRecord> more(7, on("a", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}));
    EXPECT_EQ(placement_of(more, 0).threads, 2);
}

TEST(Placement, MoreRanksThanCpusStillGetOneThread) {
    const std::vector<MachineRecord> all(5, on("a", {0, 1}));
    EXPECT_EQ(placement_of(all, 4).threads, 1);
}

TEST(Placement, OtherMachinesDoNotCount) {
    const std::vector all = {on("a", {0, 1}), on("b", {0, 1}), on("a", {0, 1})};
    const Placement placement = placement_of(all, 2);
    EXPECT_EQ(placement.local_rank, 1);
    EXPECT_EQ(placement.local_size, 2);
    EXPECT_EQ(placement.threads, 1);
    EXPECT_EQ(placement_of(all, 1).threads, 2);
    EXPECT_EQ(placement_of(all, 1).local_size, 1);
}

TEST(Placement, ThisMachineHasANameAndCpus) {
    const MachineRecord here = this_machine();
    EXPECT_NE(here.machine[0], '\0');
    EXPECT_EQ(here.machine, this_machine().machine);
    EXPECT_TRUE(std::ranges::any_of(here.cpus, [](std::uint64_t word) { return word != 0; }));
    run_on_threads(3, [](Communicator& comm) {
        const Placement placement = find_placement(comm);
        EXPECT_EQ(placement.local_rank, comm.rank());
        EXPECT_EQ(placement.local_size, 3);
        EXPECT_GE(placement.threads, 1);
    });
}

}  // namespace
}  // namespace sluice::test
