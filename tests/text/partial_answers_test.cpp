#include "text/partial_answers.hpp"

#include "support/scratch_folder.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

std::vector<PartialAnswer> sample() {
    const float odd = std::bit_cast<float>(0x7fc12345U);  // a NaN of its own
    return {{std::numeric_limits<std::uint64_t>::max(), {1, 2}, {}},
            {5, {3}, {{{3, -0.1F}, {{3, -0.1F}, {4, -std::numeric_limits<float>::infinity()}}}}},
            {0, {2147483647, 0}, {{{0, odd}, {}}, {{1, -0.0F}, {}}}}};
}

PartialAnswers kept_sample() {
    PartialAnswers kept;
    for (PartialAnswer& answer : sample()) kept.keep(std::move(answer));
    return kept;
}

bool same_bits(const TokenLogprob& one, const TokenLogprob& other) {
    return one.token == other.token &&
           std::bit_cast<std::uint32_t>(one.logprob) == std::bit_cast<std::uint32_t>(other.logprob);
}

void expect_same(const PartialAnswer& one, const PartialAnswer& other) {
    EXPECT_EQ(one.fingerprint, other.fingerprint);
    EXPECT_EQ(one.tokens, other.tokens);
    ASSERT_EQ(one.logprobs.size(), other.logprobs.size());
    for (std::size_t i = 0; i < one.logprobs.size(); ++i) {
        EXPECT_TRUE(same_bits(one.logprobs[i].chosen, other.logprobs[i].chosen));
        EXPECT_TRUE(std::ranges::equal(one.logprobs[i].top, other.logprobs[i].top, same_bits));
    }
}

TEST(PartialAnswers, ComeBackToTheBit) {
    const ScratchFolder folder;
    kept_sample().save(folder / "out");
    const PartialAnswers loaded = PartialAnswers::load(folder / "out");
    ASSERT_EQ(loaded.size(), 3U);
    for (const PartialAnswer& answer : sample()) {
        const PartialAnswer* found = loaded.find(answer.fingerprint);
        ASSERT_NE(found, nullptr);
        expect_same(*found, answer);
    }
    EXPECT_EQ(loaded.find(6), nullptr);
}

TEST(PartialAnswers, TheLongerOneIsKeptUntilItIsAnswered) {
    PartialAnswers kept;
    kept.keep({1, {}, {}});
    EXPECT_EQ(kept.size(), 0U);
    kept.keep({1, {4, 5}, {}});
    kept.keep({1, {4}, {}});
    EXPECT_EQ(kept.find(1)->tokens, (std::vector<Token>{4, 5}));
    kept.keep({1, {4, 5, 6}, {}});
    EXPECT_EQ(kept.find(1)->tokens, (std::vector<Token>{4, 5, 6}));
    kept.drop(2);
    EXPECT_EQ(kept.size(), 1U);
    kept.drop(1);
    EXPECT_EQ(kept.size(), 0U);
}

TEST(PartialAnswers, NoneLeaveNoFile) {
    const ScratchFolder folder;
    EXPECT_EQ(PartialAnswers::load(folder / "out").size(), 0U);
    kept_sample().save(folder / "out");
    EXPECT_TRUE(std::filesystem::exists(folder / "out.partial"));
    PartialAnswers().save(folder / "out");
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    PartialAnswers().save(folder / "out");
}

TEST(PartialAnswers, ADamagedFileIsPassedOver) {
    const ScratchFolder folder;
    kept_sample().save(folder / "out");
    const std::string whole = content_of(folder / "out.partial");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        folder.put("out.partial", whole.substr(0, size));
        ASSERT_EQ(PartialAnswers::load(folder / "out").size(), 0U) << "cut at " << size;
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        folder.put("out.partial", damaged);
        ASSERT_EQ(PartialAnswers::load(folder / "out").size(), 0U) << "damaged at " << at << damaged;
    }
    folder.put("out.partial", whole);
    EXPECT_EQ(PartialAnswers::load(folder / "out").size(), 3U);
}

TEST(PartialAnswers, SaysWhyTheyCannotBeWritten) {
    const ScratchFolder folder;
    expect_error([&] { kept_sample().save(folder / "none/out"); }, ExitCode::File,
                 {"none/out.partial", "No such file or directory"});
}

}  // namespace
}  // namespace sluice
