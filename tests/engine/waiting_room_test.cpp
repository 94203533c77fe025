#include "engine/waiting_room.hpp"
#include "core/error.hpp"
#include "kernels/args.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace sluice {
namespace {

// A text whose pages hold one token each, and some tokens more.
std::vector<Token> pages(const std::vector<Token>& contents, std::size_t more = 0) {
    std::vector<Token> tokens;
    for (const Token content : contents) tokens.insert(tokens.end(), kernels::kPageTokens, content);
    tokens.insert(tokens.end(), more, 99);
    return tokens;
}

std::vector<Ticket> start_all(WaitingRoom& room) {
    std::vector<Ticket> order;
    while (const auto ticket = room.next()) {
        order.push_back(*ticket);
        room.start(*ticket);
    }
    return order;
}

TEST(WaitingRoom, StrangersStartByTheirWorkAndThenInOrder) {
    WaitingRoom room(100);
    room.enter(0, {}, 5);
    room.enter(1, {}, 9);
    room.enter(2, {}, 5);
    room.enter(3, {}, 7);
    EXPECT_EQ(room.size(), 4);
    EXPECT_THROW(room.enter(2, {}, 1), Error) << "tickets ascend";
    EXPECT_THROW(room.leave(4), Error);
    EXPECT_EQ(start_all(room), (std::vector<Ticket>{1, 3, 0, 2}));
    EXPECT_EQ(room.size(), 0);
}

TEST(WaitingRoom, AGroupStaysTogetherAndCountsAsItsLongest) {
    const auto ab = pages({1, 2});
    const auto abc = pages({1, 2, 3}, 10);
    const auto abd = pages({1, 2, 4}, 60);
    const auto ax = pages({1, 9});
    const auto other = pages({7, 2});
    WaitingRoom room(100);
    room.enter(0, ab, 1);
    room.enter(1, other, 50);
    room.enter(2, abc, 100);
    room.enter(3, ax, 40);
    room.enter(4, abd, 30);
    room.enter(5, abc, 2);
    room.enter(6, other, 45);
    // From the longest: whoever shares three pages with it, two, one; then the other group.
    EXPECT_EQ(start_all(room), (std::vector<Ticket>{2, 5, 4, 0, 3, 1, 6}));
}

TEST(WaitingRoom, WhoIsHeldBackStartsInTheNextRound) {
    const auto a = pages({1, 2});
    const auto a_too = pages({1, 3});
    const auto b = pages({5, 6});
    WaitingRoom room(100);
    room.enter(0, a, 90);
    room.enter(1, a, 80);
    room.enter(2, a_too, 70);
    room.enter(3, b, 60);
    room.enter(4, b, 50);
    room.new_round();
    EXPECT_EQ(room.next(), 0);
    room.start(0);
    EXPECT_EQ(room.next(), 1);
    room.hold_back(1, 1);
    EXPECT_EQ(room.next(), 3) << "2 begins with the same page";
    room.start(3);
    EXPECT_EQ(room.next(), 4);
    room.hold_back(4, 2);
    EXPECT_EQ(room.next(), std::nullopt);
    room.new_round();
    EXPECT_EQ(start_all(room), (std::vector<Ticket>{1, 2, 4})) << "the first group goes on";
}

TEST(WaitingRoom, NobodyWaitsForMoreThanItsPatience) {
    constexpr std::int64_t kPatience = 10;
    WaitingRoom room(kPatience);
    room.enter(0, {}, 1);
    Ticket next = 1;
    for (std::int64_t started = 0; started < kPatience; ++started) {
        room.enter(next++, {}, 100);
        ASSERT_NE(room.next(), 0);
        room.start(*room.next());
    }
    room.enter(next, {}, 100);
    EXPECT_EQ(room.next(), 0);
}

// Also where a group that began is parted by one that comes later.
TEST(WaitingRoom, AGroupThatBeganGoesOnBeforeOthers) {
    const auto long_text = pages({1, 2, 3, 4, 5, 6});
    const auto sharing_five = pages({1, 2, 3, 4, 5, 7});
    const auto sharing_three = pages({1, 2, 3, 8});
    const auto sharing_one = pages({1, 9, 9});
    const auto other = pages({7, 2});
    WaitingRoom room(100);
    room.enter(0, long_text, 9);
    room.enter(1, sharing_five, 1);
    room.enter(2, other, 8);
    EXPECT_EQ(room.next(), 0);
    room.start(0);
    room.enter(3, sharing_one, 1);
    room.enter(4, sharing_three, 1);
    room.enter(5, other, 100);
    EXPECT_EQ(start_all(room), (std::vector<Ticket>{1, 4, 3, 5, 2}));
}

TEST(WaitingRoom, WithoutPatienceAllStartInTheOrderTheyCame) {
    const auto a = pages({1, 2});
    const auto a_too = pages({1, 3});
    const auto b = pages({5, 6});
    WaitingRoom room(0);
    room.enter(0, a, 1);
    room.enter(1, b, 50);
    room.enter(2, a_too, 9);
    room.enter(3, b, 90);
    EXPECT_EQ(room.next(), 0);
    room.hold_back(0, 2);
    EXPECT_EQ(room.next(), 1);
    room.start(1);
    EXPECT_EQ(room.next(), 2) << "begins with other pages than are waited for";
    room.hold_back(2, 1);
    EXPECT_EQ(room.next(), 3);
    room.new_round();
    EXPECT_EQ(start_all(room), (std::vector<Ticket>{0, 2, 3}));
}

// Of those that begin with as many of the last one's pages as anybody does, the one with most work.
TEST(WaitingRoom, RandomRoomsEmptyInTheRightOrder) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        WaitingRoom room(1000);
        std::vector<std::vector<Token>> texts;
        std::vector<std::int64_t> work;
        std::set<Ticket> waiting;
        for (Ticket ticket = 0; ticket < 40; ++ticket) {
            std::vector<Token> contents;
            while (random() % 4 != 0) contents.push_back(static_cast<Token>(random() % 2));
            texts.push_back(pages(contents, random() % 64));
            work.push_back(static_cast<std::int64_t>(random() % 20));
            waiting.insert(ticket);
        }
        for (const Ticket ticket : waiting) {
            const auto index = static_cast<std::size_t>(ticket);
            room.enter(ticket, texts[index], work[index]);
        }
        for (Ticket leaving = 0; leaving < 40; leaving += 7) {
            room.leave(leaving);
            waiting.erase(leaving);
        }
        std::vector<Token> last;
        while (!waiting.empty()) {
            const auto shared = [&](Ticket ticket) {
                const std::vector<Token>& text = texts[static_cast<std::size_t>(ticket)];
                const auto size = static_cast<std::ptrdiff_t>(std::min(text.size(), last.size()) /
                                                              kernels::kPageTokens * kernels::kPageTokens);
                const auto end = std::mismatch(text.begin(), text.begin() + size, last.begin()).first;
                return (end - text.begin()) / kernels::kPageTokens;
            };
            const auto comes_first = [&](Ticket a, Ticket b) {
                if (shared(a) != shared(b)) return shared(a) > shared(b);
                const auto work_a = work[static_cast<std::size_t>(a)];
                const auto work_b = work[static_cast<std::size_t>(b)];
                return work_a != work_b ? work_a > work_b : a < b;
            };
            const Ticket expected = *std::ranges::min_element(waiting, comes_first);
            ASSERT_EQ(room.next(), expected) << "round " << round << ", " << waiting.size() << " wait";
            room.start(expected);
            waiting.erase(expected);
            last = texts[static_cast<std::size_t>(expected)];
        }
        EXPECT_EQ(room.next(), std::nullopt);
    }
}

// Whatever is held back: nobody with the pages that are waited for starts, and everybody else does.
TEST(WaitingRoom, HoldingBackIsExact) {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        WaitingRoom room(round % 2 == 0 ? 3 : 1000);
        std::vector<std::vector<Token>> texts;
        for (int i = 0; i < 30; ++i) {
            std::vector<Token> contents;
            while (random() % 5 != 0) contents.push_back(static_cast<Token>(random() % 2));
            texts.push_back(pages(contents));
        }
        for (std::size_t i = 0; i < texts.size(); ++i)
            room.enter(static_cast<Ticket>(i), texts[i], static_cast<std::int64_t>(random() % 9));
        for (int step = 0; room.size() > 0; ++step) {
            ASSERT_LT(step, 100);
            room.new_round();
            std::vector<std::vector<Token>> held;
            while (const auto ticket = room.next()) {
                const std::vector<Token>& text = texts[static_cast<std::size_t>(*ticket)];
                for (const auto& beginning : held)
                    ASSERT_FALSE(text.size() >= beginning.size() &&
                                 std::equal(beginning.begin(), beginning.end(), text.begin()));
                const std::size_t size = text.size() / kernels::kPageTokens;
                if (size > 0 && random() % 2 == 0 && held.size() < 3) {
                    const std::size_t count = 1 + random() % size;
                    room.hold_back(*ticket, static_cast<std::int64_t>(count));
                    const auto end = static_cast<std::ptrdiff_t>(count) * kernels::kPageTokens;
                    held.emplace_back(text.begin(), text.begin() + end);
                } else {
                    room.start(*ticket);
                }
            }
            for (std::size_t i = 0; i < texts.size(); ++i) {
                if (!room.contains(static_cast<Ticket>(i))) continue;
                EXPECT_TRUE(std::ranges::any_of(held, [&](const auto& beginning) {
                    return texts[i].size() >= beginning.size() &&
                           std::equal(beginning.begin(), beginning.end(), texts[i].begin());
                })) << "held back for nothing";
            }
        }
    }
}

}  // namespace
}  // namespace sluice
