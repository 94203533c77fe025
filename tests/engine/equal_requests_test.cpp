#include "engine/equal_requests.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <variant>

namespace sluice {
namespace {

Request named(const std::string& id) {
    Request request;
    request.id = id;
    request.id_json = '"' + id + '"';
    return request;
}

CompletionKey key_of(std::vector<Token> prompt) { return completion_key(prompt, Sampling{}); }

Answer answer_of(const std::string& text) {
    Answer answer;
    answer.completion.text = text;
    return answer;
}

CompletionKey key_with(const std::function<void(Sampling&)>& change, int index = 0,
                       std::int64_t room = 1000) {
    Sampling sampling;
    change(sampling);
    return completion_key(std::vector<Token>{1, 2, 3}, deciding_sampling(sampling, index, room));
}

TEST(CompletionKey, HoldsEveryFieldThatCounts) {
    const CompletionKey plain = key_with([](Sampling&) {});
    const std::vector<std::function<void(Sampling&)>> changes = {
        [](Sampling& s) { s.max_new_tokens = 7; }, [](Sampling& s) { s.temperature = 0.5F; },
        [](Sampling& s) { s.top_k = 5; },          [](Sampling& s) { s.top_p = 0.5F; },
        [](Sampling& s) { s.min_p = 0.5F; },       [](Sampling& s) { s.repetition_penalty = 1.5F; },
        [](Sampling& s) { s.seed = 1; },           [](Sampling& s) { s.stop = {"ab"}; },
        [](Sampling& s) { s.stop = {"a", "b"}; },  [](Sampling& s) { s.ignore_eos = true; },
        [](Sampling& s) { s.logprobs = 1; },
    };
    std::vector<CompletionKey> keys = {plain};
    for (const auto& change : changes) keys.push_back(key_with(change));
    for (std::size_t i = 0; i < keys.size(); ++i)
        for (std::size_t j = 0; j < keys.size(); ++j) EXPECT_EQ(keys[i] == keys[j], i == j) << i << " " << j;
    EXPECT_FALSE(key_of({1, 2}) == key_of({1, 2, 3}));
}

TEST(CompletionKey, HoldsTheSeedOfTheCompletionThatIsDrawn) {
    const auto drawn = [](std::uint64_t seed, int index) {
        return key_with(
            [seed](Sampling& s) {
                s.seed = seed;
                s.n = 4;
            },
            index);
    };
    EXPECT_EQ(drawn(5, 2), drawn(7, 0));
    EXPECT_EQ(drawn(~std::uint64_t{0}, 1), drawn(0, 0));
    EXPECT_FALSE(drawn(5, 1) == drawn(5, 2));
    const auto greedy = [](std::uint64_t seed, int index) {
        return key_with(
            [seed](Sampling& s) {
                s.temperature = 0;
                s.seed = seed;
            },
            index);
    };
    EXPECT_EQ(greedy(5, 2), greedy(1, 0));
}

TEST(CompletionKey, HoldsAsManyTokensAsThereIsRoomFor) {
    const auto most = [](int tokens, std::int64_t room) {
        return key_with([tokens](Sampling& s) { s.max_new_tokens = tokens; }, 0, room);
    };
    EXPECT_EQ(most(100, 50), most(90, 50));
    EXPECT_FALSE(most(100, 95) == most(90, 95));
}

TEST(EqualRequests, ShareTheAnswerOfTheOneOnItsWay) {
    EqualRequests equals(1 << 20);
    const CompletionKey key = key_of({1, 2});
    EXPECT_FALSE(equals.attach(key, named("a")));
    EXPECT_TRUE(equals.attach(key, named("b")));
    EXPECT_FALSE(equals.attach(key_of({1, 3}), named("x")));
    EXPECT_TRUE(equals.attach(key, named("c")));
    EXPECT_EQ(equals.attached(), 2);
    const std::vector<Request> attached = equals.detach(key);
    ASSERT_EQ(attached.size(), 2U);
    EXPECT_EQ(attached[0].id, "b");
    EXPECT_EQ(attached[1].id, "c");
    EXPECT_EQ(equals.attached(), 0);
    EXPECT_FALSE(equals.attach(key, named("d"))) << "nobody is on its way any more";
}

TEST(EqualRequests, AreWeighedWithoutTheirInputs) {
    EqualRequests equals(1 << 20);
    const CompletionKey key = key_of({1, 2});
    Request wide = named("b");
    wide.input = std::string(1000000, 'x');
    wide.meta_json = std::string(10000, ' ');
    Request first = wide;
    EXPECT_FALSE(equals.attach(key, std::move(first)));
    EXPECT_EQ(first.meta_json.size(), 10000U) << "it is still the caller's";
    EXPECT_EQ(equals.bytes_attached(), 0U);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(equals.attach(key, Request(wide)));
    EXPECT_GE(equals.bytes_attached(), 30000U);
    EXPECT_LT(equals.bytes_attached(), 40000U);
    for (const Request& request : equals.detach(key))
        EXPECT_TRUE(std::get<std::string>(request.input).empty());
    EXPECT_EQ(equals.bytes_attached(), 0U);
}

// Never the hash alone decides.
TEST(EqualRequests, OfEqualFingerprintsAreNotEqual) {
    EqualRequests equals(1 << 20);
    const CompletionKey key = key_of({1, 2});
    CompletionKey colliding = key_of({3, 4});
    colliding.fingerprint = key.fingerprint;
    EXPECT_FALSE(equals.attach(key, named("a")));
    EXPECT_FALSE(equals.attach(colliding, named("b")));
    equals.keep(key, answer_of("of a"));
    EXPECT_EQ(equals.find(colliding), nullptr);
    ASSERT_NE(equals.find(key), nullptr);
    EXPECT_EQ(equals.find(key)->completion.text, "of a");
}

TEST(EqualRequests, TheLongestUnusedAnswerMakesRoom) {
    const std::string text(10000, 'x');
    EqualRequests equals(35000);
    for (const Token name : {1, 2, 3}) equals.keep(key_of({name}), answer_of(text));
    EXPECT_NE(equals.find(key_of({1})), nullptr);
    equals.keep(key_of({4}), answer_of(text));
    EXPECT_EQ(equals.find(key_of({2})), nullptr);
    for (const Token name : {1, 3, 4}) EXPECT_NE(equals.find(key_of({name})), nullptr) << name;
    EXPECT_LE(equals.bytes_kept(), 35000U);
    equals.keep(key_of({5}), answer_of(std::string(40000, 'x')));
    EXPECT_EQ(equals.find(key_of({5})), nullptr) << "too large to be kept";
    EXPECT_NE(equals.find(key_of({1})), nullptr);
    Answer answer = answer_of("short");
    answer.completion.meta_json = std::string(40000, ' ');
    equals.keep(key_of({6}), answer);
    ASSERT_NE(equals.find(key_of({6})), nullptr) << "what belongs to one request is not kept";
    EXPECT_TRUE(equals.find(key_of({6}))->completion.meta_json.empty());
}

}  // namespace
}  // namespace sluice
