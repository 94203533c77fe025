#include "kernels/cpu/parallel.hpp"

#include "kernels/cpu/memory.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <new>
#include <stdexcept>
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
