#include "kernels/cpu/parallel.hpp"

#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/team.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kMuch = 1 << 20;  // work a row, so that every row is worth a thread

TEST(OverRows, VisitsEveryRowOnce) {
    for (const int threads : {1, 2, 3, 7}) {
        for (const std::int64_t rows : {0, 1, 2, 5, 64}) {
            std::vector<std::atomic<int>> visits(static_cast<std::size_t>(rows));
            over_rows(rows, kMuch, threads, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t r = begin; r < end; ++r) ++visits[static_cast<std::size_t>(r)];
            });
            for (const auto& count : visits)
                ASSERT_EQ(count, 1) << threads << " threads, " << rows << " rows";
        }
    }
}

TEST(OverTasks, RunsEveryTaskOnce) {
    for (const int threads : {1, 2, 3}) {
        std::vector<std::atomic<int>> runs(100);
        over_tasks(100, threads, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
        for (const auto& count : runs) ASSERT_EQ(count, 1) << threads << " threads";
    }
}

// Threads that are late find their tasks done by others; more threads than there can be shares, and tasks of
// tasks.
TEST(OverNeighbours, RunsEveryTaskOnce) {
    for (const int threads : {1, 2, 3, 7, 300}) {
        for (const int count : {0, 1, 2, 8, 100}) {
            std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
            over_neighbours(count, threads, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
            for (const auto& each : runs) ASSERT_EQ(each, 1) << threads << " threads, " << count << " tasks";
        }
    }
    std::vector<std::atomic<int>> runs(64);
    over_neighbours(8, 2, [&](std::int64_t i) {
        over_neighbours(8, 2, [&](std::int64_t j) { ++runs[static_cast<std::size_t>(8 * i + j)]; });
    });
    for (const auto& each : runs) ASSERT_EQ(each, 1);
}

TEST(OverNeighbours, WhatATaskThrowsComesOut) {
    const auto one = [](int threads) {
        over_neighbours(100, threads, [](std::int64_t i) {
            if (i == 57) throw std::out_of_range("task 57");
        });
    };
    for (const int threads : {1, 2}) EXPECT_THROW(one(threads), std::out_of_range) << threads;
}

TEST(OverRows, WhatABodyThrowsComesOut) {
    for (const int threads : {1, 2}) {
        const auto all = [&] {
            over_rows(2, kMuch, threads, [](std::int64_t begin, std::int64_t) {
                throw std::runtime_error("part " + std::to_string(begin));
            });
        };
        EXPECT_THROW(all(), std::runtime_error) << threads;
        const auto last = [&] {
            over_rows(2, kMuch, threads, [](std::int64_t, std::int64_t end) {
                if (end == 2) throw std::bad_alloc();
            });
        };
        EXPECT_THROW(last(), std::bad_alloc) << threads;
    }
}

TEST(OverTasks, WhatATaskThrowsComesOut) {
    for (const int threads : {1, 2}) {
        const auto one = [&] {
            over_tasks(100, threads, [](std::int64_t i) {
                if (i == 57) throw std::out_of_range("task 57");
            });
        };
        EXPECT_THROW(one(), std::out_of_range) << threads;
    }
}

TEST(OverTasks, ATaskMayHaveTasksOfItsOwn) {
    std::vector<std::atomic<int>> runs(64);
    over_tasks(8, 2, [&](std::int64_t i) {
        over_tasks(8, 2, [&](std::int64_t j) { ++runs[static_cast<std::size_t>(8 * i + j)]; });
    });
    for (const auto& count : runs) ASSERT_EQ(count, 1);
}

// Teams that grow, and threads that have a team each, as ranks that are threads do.
TEST(OverTasks, ManyRegionsFromSeveralThreads) {
    constexpr int kRegions = 2000, kTasks = 16;
    const auto many = [&](std::atomic<int>& runs) {
        for (int region = 0; region < kRegions; ++region)
            over_tasks(kTasks, 1 + region % 4, [&](std::int64_t) { ++runs; });
    };
    std::atomic<int> here = 0, there = 0;
    {
        const std::jthread other([&] { many(there); });
        many(here);
    }
    EXPECT_EQ(here, kRegions * kTasks);
    EXPECT_EQ(there, kRegions * kTasks);
}

// Every part at once on a thread of its own: each waits for all others. More threads than processors, so that
// waiting ones sleep; fewer then, and more again.
TEST(RunTeam, PartsRunAtTheSameTime) {
    for (const int threads : {2, 16, 3, 24, 1}) {
        std::barrier<> all(threads);
        std::vector<std::atomic<int>> runs(static_cast<std::size_t>(threads));
        const auto part = [&](int thread) {
            ++runs[static_cast<std::size_t>(thread)];
            all.arrive_and_wait();
        };
        using Body = decltype(part);
        run_team(
            threads, [](const void* body, int thread) { (*static_cast<const Body*>(body))(thread); }, &part);
        for (const auto& count : runs) ASSERT_EQ(count, 1) << threads << " threads";
    }
}

// A region that threw leaves its team as it was.
TEST(OverTasks, GoOnAfterExceptions) {
    for (int round = 0; round < 200; ++round) {
        const auto throwing = [&] {
            over_tasks(16, 1 + round % 8, [&](std::int64_t i) {
                if (i == round % 16) throw std::runtime_error("task");
            });
        };
        ASSERT_THROW(throwing(), std::runtime_error) << round;
        std::atomic<int> runs = 0;
        over_tasks(16, 1 + round % 8, [&](std::int64_t) { ++runs; });
        ASSERT_EQ(runs, 16) << round;
    }
}

// A thread ends with its team, whose threads may be asleep.
TEST(OverTasks, TeamsEndWithTheirThreads) {
    std::atomic<int> runs = 0;
    for (int round = 0; round < 50; ++round)
        std::jthread([&] { over_tasks(8, 4, [&](std::int64_t) { ++runs; }); }).join();
    EXPECT_EQ(runs, 50 * 8);
}

TEST(Memory, IsAlignedAndAllUsable) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20U;
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, kHugePage - 1, kHugePage,
                                    kHugePage + 1, 3 * kHugePage - 1}) {
        const Bytes memory = allocate_bytes(bytes);
        const auto address = reinterpret_cast<std::uintptr_t>(memory.get());
        EXPECT_EQ(address % (bytes >= kHugePage ? kHugePage : 64), 0U) << bytes;
        for (std::size_t i = 0; i < bytes; ++i) memory[i] = std::byte{1};
    }
}

TEST(Memory, BlocksDoNotOverlapAndOutliveOneAnother) {
    const std::vector<std::size_t> sizes = {1, 64,  65, std::size_t{3} << 20U, std::size_t{40} << 20U,
                                            7, 4096};
    std::vector<std::shared_ptr<std::byte>> blocks;
    for (int round = 0; round < 20; ++round) {
        for (const std::size_t bytes : sizes) {
            blocks.push_back(allocate_block(bytes));
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back().get()) % 64, 0U);
            std::fill_n(blocks.back().get(), bytes, static_cast<std::byte>(blocks.size()));
        }
        if (round % 3 == 0) blocks[static_cast<std::size_t>(round)] = nullptr;
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (blocks[i] == nullptr) continue;
        const std::byte* bytes = blocks[i].get();
        const std::size_t size = sizes[i % sizes.size()];
        EXPECT_TRUE(std::all_of(bytes, bytes + size,
                                [&](std::byte b) { return b == static_cast<std::byte>(i + 1); }));
    }
}

TEST(Memory, ScratchIsUsableAfterARefusal) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer ends the program where memory is refused";
#endif
    Scratch scratch;
    EXPECT_THROW(scratch.at_least(std::numeric_limits<std::size_t>::max() / 4), std::bad_alloc);
    ASSERT_NE(scratch.at_least(8), nullptr);
}

}  // namespace
}  // namespace sluice::kernels::cpu
