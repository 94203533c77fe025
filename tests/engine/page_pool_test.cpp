#include "engine/page_pool.hpp"
#include "core/error.hpp"
#include "kernels/args.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr int kPage = kernels::kPageTokens;

TEST(PagePool, KnownPagesStayUntilTheirRoomIsNeeded) {
    PagePool pool(3);
    const std::vector<Token> text(kPage, 1);
    const std::vector<Token> other(kPage, 2);
    const PageId page = *pool.take();
    pool.publish(page, std::nullopt, text);
    pool.give_back(page);
    EXPECT_EQ(pool.available(), 3);
    EXPECT_FALSE(pool.find(std::nullopt, other));
    EXPECT_EQ(pool.find(std::nullopt, text), page);
    EXPECT_FALSE(pool.find(page, text)) << "the same tokens after other tokens are another text";
    EXPECT_EQ(pool.available(), 2);
    pool.give_back(page);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(pool.take());
    EXPECT_FALSE(pool.take());
    EXPECT_FALSE(pool.find(std::nullopt, text));
}

TEST(PagePool, TheLongestUnusedGoesFirst) {
    PagePool pool(2);
    const std::vector<Token> a(kPage, 1);
    const std::vector<Token> b(kPage, 2);
    const PageId first = *pool.take();
    const PageId second = *pool.take();
    pool.publish(first, std::nullopt, a);
    pool.publish(second, std::nullopt, b);
    pool.give_back(first);
    pool.give_back(second);
    EXPECT_EQ(pool.take(), first);
    EXPECT_TRUE(pool.find(std::nullopt, b));
    EXPECT_FALSE(pool.find(std::nullopt, a));
}

TEST(PagePool, OfTwoPagesOfOneContentTheFirstIsUsed) {
    PagePool pool(3);
    const std::vector<Token> text(kPage, 1);
    const PageId first = *pool.take();
    const PageId second = *pool.take();
    EXPECT_EQ(pool.publish(first, std::nullopt, text), first);
    EXPECT_EQ(pool.publish(second, std::nullopt, text), first);
    EXPECT_EQ(pool.held(), 1) << "the second is free again";
    pool.give_back(first);
    EXPECT_EQ(pool.held(), 1) << "two hold the first";
    pool.give_back(first);
    EXPECT_EQ(pool.held(), 0);
}

TEST(PagePool, GivingBackTwiceIsABug) {
    PagePool pool(1);
    const PageId page = *pool.take();
    pool.give_back(page);
    EXPECT_THROW(pool.give_back(page), Error);
}

}  // namespace
}  // namespace sluice
