#include "group_cases.hpp"
#include "kernel_suite.hpp"
#include "support/guarded.hpp"

namespace sluice::test {
namespace {

using Group = KernelSuite<GroupArgs>;

TEST_P(Group, SortsByExpertThenToken) {
    // Experts 2, 3, 4 are ours.
    const std::vector<std::int32_t> expert = {1, 4, 2, 3, 0, 5, 2, 4};
    Guarded<std::int32_t> token(1, 5), offsets(1, 4), place(4, 2);
    run({expert.data(), 4, 2, 2, 3, token.data(), offsets.data(), place.data()});
    const std::vector<std::int32_t> tokens = {1, 3, 1, 0, 3}, ends = {0, 2, 3, 5};
    const std::vector<std::int32_t> places = {-1, 3, 0, 2, -1, -1, 1, 4};
    for (int i = 0; i < 5; ++i) EXPECT_EQ(token.at(0, i), tokens[static_cast<std::size_t>(i)]);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(offsets.at(0, i), ends[static_cast<std::size_t>(i)]);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(place.at(i / 2, i % 2), places[static_cast<std::size_t>(i)]);
    token.expect_untouched_around();
    offsets.expect_untouched_around();
    place.expect_untouched_around();
}

TEST_P(Group, HoldsEveryLocalPairOnce) {
    for (const GroupCase& c : checked(group_cases())) {
        GroupCall call(c);
        run(call.args());
        const auto& [size, expert, token, place, offsets] = call;
        std::int32_t local = 0;
        for (std::size_t pair = 0; pair < expert.size(); ++pair) {
            const std::int32_t e = expert[pair] - c.first;
            if (e < 0 || e >= c.count) {
                ASSERT_EQ(place[pair], -1);
                continue;
            }
            ++local;
            ASSERT_GE(place[pair], offsets[static_cast<std::size_t>(e)]);
            ASSERT_LT(place[pair], offsets[static_cast<std::size_t>(e) + 1]);
            ASSERT_EQ(token[static_cast<std::size_t>(place[pair])],
                      static_cast<std::int32_t>(pair) / c.top_k);
        }
        ASSERT_EQ(offsets.front(), 0);
        ASSERT_EQ(offsets.back(), local);
        for (std::size_t e = 0; e + 1 < offsets.size(); ++e) {
            for (std::int32_t i = offsets[e] + 1; i < offsets[e + 1]; ++i) {
                ASSERT_LE(token[static_cast<std::size_t>(i) - 1], token[static_cast<std::size_t>(i)]);
            }
        }
    }
}

SLUICE_EVERY_KERNEL(Group, GroupArgs);

}  // namespace
}  // namespace sluice::test
