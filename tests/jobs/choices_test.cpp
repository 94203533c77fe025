// Several completions of a request, and requests that have the same one.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

const std::string kPrompt = "KING RICHARD:\nNow is";

class Choices : public JobTest {
protected:
    std::vector<OrderedJson> answers(const std::vector<OrderedJson>& lines, const Words& more = {}) const {
        std::string text;
        for (const OrderedJson& line : lines) text += line.dump() + "\n";
        folder_.put("in.jsonl", text);
        return records(files("v3", "in.jsonl", "out.jsonl") +
                           Words{"--overwrite", "--ordered", "--max-new-tokens", "12", "--ignore-eos",
                                 "--metrics", path("run.json")} +
                           more,
                       "out.jsonl");
    }
    OrderedJson metrics() const { return OrderedJson::parse(content("run.json")); }
    // Rows that the last run computed.
    int computed() const {
        const OrderedJson tokens = metrics()["tokens"];
        return tokens["prefilled"].get<int>() + tokens["decoded"].get<int>();
    }
};

TEST_F(Choices, OfARequestAreThoseOfTheNextSeeds) {
    const Words hot{"--temperature", "1.2", "--return-tokens", "--logprobs", "2"};
    const OrderedJson asked = {{"id", "a"}, {"prompt", kPrompt}, {"seed", 5}, {"n", 4}};
    const OrderedJson usual = {{"id", "b"}, {"prompt", kPrompt}};
    const auto many = answers({asked, usual}, hot + Words{"--n", "3", "--seed", "100"});
    ASSERT_EQ(many.size(), 7U);
    std::vector<OrderedJson> singles;
    for (const int seed : {5, 6, 7, 8, 100, 101, 102})
        singles.push_back({{"id", seed}, {"prompt", kPrompt}, {"seed", seed}});
    const auto one_by_one = answers(singles, hot);
    for (std::size_t i = 0; i < 7; ++i) {
        OrderedJson choice = many[i];
        EXPECT_EQ(choice["id"], i < 4 ? "a" : "b");
        EXPECT_EQ(choice["index"], i < 4 ? i : i - 4);
        choice.erase("index");
        OrderedJson single = one_by_one[i];
        EXPECT_FALSE(single.contains("index"));
        single["id"] = choice["id"];
        EXPECT_EQ(choice, single);
    }
    EXPECT_NE(many[0]["tokens"], many[1]["tokens"]);
}

TEST_F(Choices, ThatAreGreedyAreEqualAndComputedOnce) {
    const Words greedy{"--temperature", "0"};
    const auto one = answers({{{"id", "a"}, {"prompt", kPrompt}}}, greedy);
    const int once = computed();
    const auto many = answers({{{"id", "a"}, {"prompt", kPrompt}}}, greedy + Words{"--n", "6"});
    EXPECT_EQ(computed(), once);
    ASSERT_EQ(many.size(), 6U);
    for (const OrderedJson& choice : many) EXPECT_EQ(choice["completion"], one[0]["completion"]);
    EXPECT_EQ(metrics()["requests"]["answered"], 1);
    EXPECT_EQ(metrics()["tokens"]["completion"], 6 * 12);
}

TEST_F(Choices, OfEqualRequestsAreEqualUnderTheirOwnNames) {
    const OrderedJson first = {{"id", "a"}, {"prompt", kPrompt}, {"seed", 9}};
    const OrderedJson alone = answers({first})[0];
    const int once = computed();
    std::vector<OrderedJson> lines{first};
    for (int i = 0; i < 5; ++i)
        lines.push_back({{"id", i}, {"prompt", kPrompt}, {"seed", 9}, {"meta", {{"row", i}}}});
    lines.push_back({{"custom_id", "api"},
                     {"method", "POST"},
                     {"url", "/v1/completions"},
                     {"body", {{"model", "m"}, {"prompt", kPrompt}, {"seed", 9}}}});
    const auto all = answers(lines);
    EXPECT_EQ(computed(), once);
    ASSERT_EQ(all.size(), 7U);
    EXPECT_EQ(all[0], alone);
    for (int i = 0; i < 5; ++i) {
        OrderedJson expected = alone;
        expected["id"] = i;
        expected["meta"] = {{"row", i}};
        EXPECT_EQ(all[static_cast<std::size_t>(i) + 1], expected);
    }
    EXPECT_EQ(all[6]["custom_id"], "api");
    EXPECT_EQ(all[6]["response"]["body"]["choices"][0]["text"], alone["completion"]);
    // One option makes another request of it.
    answers({first, {{"id", "b"}, {"prompt", kPrompt}, {"seed", 10}}});
    EXPECT_GT(computed(), once);
}

}  // namespace
}  // namespace sluice::test
