// The meeting place of ranks that are processes, here with threads in memory of one process.
#include "comm/shared_window.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

namespace sluice::test {
namespace {

std::shared_ptr<std::byte> zeros(int ranks) {
    const std::size_t bytes = SharedWindow::kRankBytes * static_cast<std::size_t>(ranks);
    void* memory = std::aligned_alloc(4096, bytes);
    std::memset(memory, 0, bytes);
    return {static_cast<std::byte*>(memory), [](std::byte* each) { std::free(each); }};
}

class Window : public testing::TestWithParam<std::tuple<int, bool>> {
protected:
    int ranks() const { return std::get<0>(GetParam()); }

    template <class Work>
    void on_all(Work work) const {
        const auto memory = zeros(ranks());
        std::vector<std::jthread> threads;
        for (int rank = 0; rank < ranks(); ++rank) {
            threads.emplace_back([&, rank] {
                SharedWindow window(memory, rank, ranks(), std::get<1>(GetParam()), [] {});
                work(window, rank);
            });
        }
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Window, testing::Combine(testing::Values(2, 3, 8), testing::Bool()),
                         [](const auto& test) {
                             return std::to_string(std::get<0>(test.param)) +
                                    (std::get<1>(test.param) ? "_crowded" : "");
                         });

// A rank that is ahead must not write what a slow one still reads.
TEST_P(Window, SlotsHoldWhatWasShownInThisTurn) {
    std::atomic<int> wrong = 0;
    on_all([&](SharedWindow& window, int rank) {
        for (int turn = 0; turn < 3000; ++turn) {
            const int mine = 100 * turn + rank;
            std::memcpy(window.slot(), &mine, sizeof mine);
            window.meet(7);
            if (turn % 100 == rank) std::this_thread::yield();  // then the others are ahead
            for (int other = ranks() - 1; other >= 0; --other) {
                int theirs = 0;
                std::memcpy(&theirs, window.slot_of(other), sizeof theirs);
                if (theirs != 100 * turn + other) ++wrong;
            }
        }
    });
    EXPECT_EQ(wrong, 0);
}

// A long wait ends in sleep, and only being woken ends that: nobody naps for less than an hour.
TEST_P(Window, SleepersAreWoken) {
    const auto memory = zeros(ranks());
    std::atomic<int> about_to_sleep = 0;
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks(); ++rank) {
        threads.emplace_back([&, rank] {
            SharedWindow window(
                memory, rank, ranks(), std::get<1>(GetParam()), [&] { ++about_to_sleep; },
                std::chrono::hours(1));
            while (rank == 0 && about_to_sleep < ranks() - 1) std::this_thread::yield();
            window.meet(1);
            window.meet(2);
        });
    }
}

}  // namespace
}  // namespace sluice::test
