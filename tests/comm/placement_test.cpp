#include "comm/placement.hpp"

#include "comm/shared_sums.hpp"
#include "support/scratch_folder.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

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

// The CPUs of `packages` sockets in the order in which most machines number them: all first threads first.
std::vector<CpuPlace> machine_of(int packages, int cores, int threads) {
    std::vector<CpuPlace> places;
    for (int thread = 0; thread < threads; ++thread) {
        for (int core = 0; core < packages * cores; ++core) {
            const int package = core / cores;
            places.push_back({thread * packages * cores + core, package, package, core});
        }
    }
    return places;
}

std::vector<MachineRecord> sharing(int ranks, std::initializer_list<int> cpus) {
    return std::vector<MachineRecord>(static_cast<std::size_t>(ranks), on("a", cpus));
}

using Cpus = std::vector<int>;
constexpr std::initializer_list<int> kSixteen = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

TEST(CpusFor, OneRankHasAllAndPhysicalCoresFirst) {
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), sharing(1, kSixteen), 0), Cpus(kSixteen));
    EXPECT_EQ(cpus_for(machine_of(1, 2, 2), sharing(1, {0, 2, 3}), 0), (Cpus{0, 3, 2}));  // 2 is 0's sibling
}

TEST(CpusFor, TwoRanksHaveASocketEach) {
    const auto all = sharing(2, kSixteen);
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 0), (Cpus{0, 1, 2, 3, 8, 9, 10, 11}));
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 1), (Cpus{4, 5, 6, 7, 12, 13, 14, 15}));
}

TEST(CpusFor, NodesWithinASocketStayTogether) {
    std::vector<CpuPlace> machine = machine_of(1, 8, 1);  // whose nodes take turns
    for (CpuPlace& place : machine) place.node = place.cpu % 2;
    const auto all = sharing(2, {0, 1, 2, 3, 4, 5, 6, 7});
    EXPECT_EQ(cpus_for(machine, all, 0), (Cpus{0, 2, 4, 6}));
    EXPECT_EQ(cpus_for(machine, all, 1), (Cpus{1, 3, 5, 7}));
}

TEST(CpusFor, RanksAreDisjointAndHaveAsManyCpusAsThreads) {
    for (const int ranks : {1, 2, 3, 4, 5, 7, 8, 16}) {
        const auto all = sharing(ranks, kSixteen);
        std::vector<int> used;
        for (int rank = 0; rank < ranks; ++rank) {
            const Cpus mine = cpus_for(machine_of(2, 4, 2), all, rank);
            EXPECT_EQ(std::ssize(mine), placement_of(all, rank).threads) << rank << " of " << ranks;
            used.insert(used.end(), mine.begin(), mine.end());
        }
        std::ranges::sort(used);
        EXPECT_EQ(std::ranges::adjacent_find(used), used.end()) << ranks << " ranks";
    }
}

TEST(CpusFor, ABoundRankHasItsOwn) {
    const std::vector all = {on("a", {0, 8}), on("a", {5, 13}), on("b", {5, 13}), on("a", {5, 13})};
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 0), (Cpus{0, 8}));
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 1), (Cpus{5}));
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 2), (Cpus{5, 13}));
    EXPECT_EQ(cpus_for(machine_of(2, 4, 2), all, 3), (Cpus{13}));
}

TEST(CpusFor, RanksBoundToOverlappingCpusAreDisjoint) {
    const auto machine = machine_of(1, 12, 1);
    const std::vector some = {on("a", {0, 1, 2, 3, 4, 5, 6, 7}), on("a", {4, 5, 6, 7, 8, 9, 10, 11})};
    EXPECT_EQ(cpus_for(machine, some, 0), (Cpus{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(cpus_for(machine, some, 1), (Cpus{6, 7, 8, 9, 10, 11}));
    const std::vector within = {on("a", {0, 1, 2, 3, 4, 5, 6, 7}), on("a", {0, 1}), on("a", {0, 1})};
    EXPECT_EQ(cpus_for(machine, within, 0), (Cpus{2, 3, 4, 5, 6, 7})) << "whom the others leave alone";
    EXPECT_EQ(cpus_for(machine, within, 1), Cpus{0});
    EXPECT_EQ(cpus_for(machine, within, 2), Cpus{1});
}

TEST(CpusFor, MoreRanksThanCpusShare) {
    const auto all = sharing(5, {0, 1});
    for (int rank = 0; rank < 5; ++rank)
        EXPECT_EQ(cpus_for(machine_of(1, 2, 1), all, rank), Cpus{2 * rank / 5});
    EXPECT_LT(share_of_cpus(all, 0), 1);
}

TEST(CpusFor, NothingIsKnownOfTheMachine) { EXPECT_EQ(cpus_for({}, sharing(2, {0, 1}), 0), Cpus()); }

// One letter a rank: the machine it is on.
int block_of_ranks(std::string_view machines) {
    std::vector<MachineRecord> all;
    for (std::size_t rank = 0; rank < machines.size(); ++rank)
        all.push_back(on(machines.substr(rank, 1), {0, 1}));
    return block_of(all);
}

TEST(Blocks, AreEqualPowersOfTwoOfNeighboursOnAMachine) {
    EXPECT_EQ(block_of_ranks("AABB"), 2);
    EXPECT_EQ(block_of_ranks("AAAABBBBCCCC"), 4);
    for (const char* all : {"A", "AA", "AAA", "AAAAAA"})
        EXPECT_EQ(block_of_ranks(all), std::string_view(all).size()) << all;
    for (const char* none : {"AB", "ABAB", "AAB", "AAAB", "AAABBB", "AABA", "AABBBB", "ABBA"})
        EXPECT_EQ(block_of_ranks(none), 1) << none;
}

TEST(Crowded, CountsAllRanksOfTheMachine) {
    const std::vector all = {on("a", {0, 1}), on("b", {0, 1}), on("a", {0, 1}), on("a", {0, 1})};
    EXPECT_TRUE(is_crowded(all, 0));
    EXPECT_FALSE(is_crowded(all, 1));
    EXPECT_FALSE(is_crowded(std::span(all).first(3), 0));
}

Placement placed(std::span<const MachineRecord> all, int rank) {
    Placement placement = placement_of(all, rank);
    placement.cpus = cpus_for(machine_of(2, 4, 2), all, rank);
    return placement;
}

TEST(CpusToKeep, RanksOfAMachineKeepToTheirOwn) {
    const Placement second = placed(sharing(2, kSixteen), 1);
    EXPECT_EQ(cpus_to_keep(second, 8), (Cpus{4, 5, 6, 7, 12, 13, 14, 15}));
    EXPECT_EQ(cpus_to_keep(second, 3), (Cpus{4, 5, 6, 7, 12, 13, 14, 15}));
    EXPECT_EQ(cpus_to_keep(second, 9), Cpus()) << "more threads than CPUs";
}

TEST(CpusToKeep, ARankAloneIsFree) {  // beside another job, which would take the same CPUs
    EXPECT_EQ(cpus_to_keep(placed(sharing(1, kSixteen), 0), 4), Cpus());
    EXPECT_EQ(cpus_to_keep(placed(std::vector{on("a", kSixteen), on("b", kSixteen)}, 1), 4), Cpus());
}

TEST(CpusToKeep, RanksWithLessThanACpuAreFree) {
    EXPECT_EQ(cpus_to_keep(placed(sharing(3, {0, 1}), 2), 1), Cpus());
    EXPECT_EQ(cpus_to_keep(placed(sharing(2, {0, 1}), 1), 1), Cpus{1});
}

TEST(CpusToKeep, NothingIsKnownOfTheMachine) {
    EXPECT_EQ(cpus_to_keep(placement_of(sharing(2, kSixteen), 0), 1), Cpus());
}

// The CPUs that the calling thread may run on.
Cpus allowed_cpus() {
    const MachineRecord here = this_machine();
    Cpus cpus;
    for (std::size_t cpu = 0; cpu < 64 * here.cpus.size(); ++cpu)
        if ((here.cpus[cpu / 64] >> (cpu % 64) & 1U) != 0) cpus.push_back(static_cast<int>(cpu));
    return cpus;
}

TEST(KeepThreadsOn, HoldsForTheThreadAndThoseThatItStarts) {
    const Cpus all = allowed_cpus();
    Cpus unchanged, kept, started;
    std::jthread([&] {
        keep_threads_on({});
        unchanged = allowed_cpus();
        keep_threads_on(std::span(all).last(1));
        kept = allowed_cpus();
        std::jthread([&] { started = allowed_cpus(); }).join();
    }).join();
    EXPECT_EQ(unchanged, all);
    EXPECT_EQ(kept, Cpus{all.back()});
    EXPECT_EQ(started, kept);
    EXPECT_EQ(allowed_cpus(), all) << "other threads stay as they are";
}

TEST(Topology, IsReadFromTheKernelsFolder) {
    const ScratchFolder folder;
    const auto put = [&](const std::string& name, std::string_view line) {
        std::filesystem::create_directories((folder / name).parent_path());
        folder.put(name, line);
    };
    put("node/node1/cpulist", "1,3\n");
    put("node/possible", "0-1\n");
    for (const int cpu : {0, 1, 2, 3}) {
        const std::string place = fmt::format("cpu/cpu{}/topology/", cpu);
        put(place + "physical_package_id", fmt::format("{}\n", cpu % 2));
        put(place + "thread_siblings_list", cpu % 2 == 0 ? "0,2\n" : "1,3\n");
    }
    put("cpu/cpu10/online", "1\n");  // says nothing of its place
    put("cpu/cpuidle/state", "\n");
    const std::vector<CpuPlace> places = read_topology(folder.path());
    const std::vector<std::array<int, 4>> expected = {
        {0, 0, 0, 0}, {1, 1, 1, 1}, {2, 0, 0, 0}, {3, 1, 1, 1}, {10, 0, 0, 10}};
    ASSERT_EQ(places.size(), expected.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
        const CpuPlace& at = places[i];
        EXPECT_EQ((std::array{at.cpu, at.package, at.node, at.core}), expected[i]) << i;
    }
    EXPECT_TRUE(read_topology(folder / "nothing").empty());
}

TEST(Topology, ListsOfCpus) {
    EXPECT_EQ(cpus_of_list("0-3,8\n"), (Cpus{0, 1, 2, 3, 8}));
    EXPECT_EQ(cpus_of_list(""), Cpus());
    EXPECT_EQ(cpus_of_list("2,x,3"), Cpus{2});
    EXPECT_EQ(cpus_of_list("0-99999999999"), Cpus());
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
