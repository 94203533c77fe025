// What sluice-generate makes of prompt files, and that it is the same on any number of ranks.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace sluice::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Words keys_of(const OrderedJson& record) {
    Words keys;
    for (const auto& item : record.items()) keys.push_back(item.key());
    return keys;
}

class Completions : public JobTest {
protected:
    // The records of one run over `prompts`, a jsonl text, with greedy defaults.
    std::vector<OrderedJson> answers(const std::string& prompts, const Words& more = {}, int code = 0) const {
        folder_.put("in.jsonl", prompts);
        Words words = files("v3", "in.jsonl", "out.jsonl") + Words{"--overwrite"} + more;
        for (const Words& usual : {Words{"--temperature", "0"}, Words{"--max-new-tokens", "12"}})
            if (std::ranges::find(more, usual.front()) == more.end()) words = words + usual;
        return records(words, "out.jsonl", 0, code);
    }
    OrderedJson answer(const OrderedJson& prompt, const Words& more = {}) const {
        const std::vector<OrderedJson> all = answers(prompt.dump() + "\n", more);
        return all.size() == 1 ? all.front() : OrderedJson::object();
    }
};

TEST_F(Completions, OfATextFileHaveExactlyTheFieldsPromised) {
    folder_.put("in.txt", "KING:\n\n   \nFirst Citizen:\r\nlast line without an end");
    const auto all =
        records(files("v3", "in.txt", "out.jsonl") + Words{"--max-new-tokens", "7"}, "out.jsonl");
    ASSERT_EQ(all.size(), 3U);
    for (const char* id : {"in.txt:1", "in.txt:4", "in.txt:5"}) {
        const OrderedJson& record = record_of(all, id);
        EXPECT_THAT(keys_of(record),
                    ElementsAre("id", "completion", "finish_reason", "prompt_tokens", "completion_tokens"));
        EXPECT_GT(record["prompt_tokens"], 0);
        EXPECT_LE(record["completion_tokens"], 7);
        if (record["finish_reason"] == "length") {
            EXPECT_EQ(record["completion_tokens"], 7);
        }
    }
    EXPECT_TRUE(exists("out.jsonl.run.json"));
}

// A model that came without a tokenizer. The padding token inside the prompt is hidden from attention, which
// the recorded best token shows (tests/data/goldens/grok-order12, contains_pad).
TEST_F(Completions, OfTokensNeedNoTokenizer) {
    folder_.put("in.jsonl", R"({"id": "ids", "tokens": [17, 0, 44, 201, 0, 0, 8, 91]})"
                            "\n"
                            R"({"id": "text", "prompt": "hello"})");
    const Words words = files("grok-order12-bf16", "in.jsonl", "out.jsonl") +
                        Words{"--temperature", "0", "--max-new-tokens", "1", "--return-tokens"};
    const auto all = records(words, "out.jsonl", 0, 5);
    EXPECT_EQ(record_of(all, "ids")["tokens"], OrderedJson({43}));
    EXPECT_EQ(record_of(all, "ids")["completion"], "");
    EXPECT_EQ(record_of(all, "text")["error"]["code"], "not_tokenized");
    EXPECT_THAT(record_of(all, "text")["error"]["message"].get<std::string>(), HasSubstr("no tokenizer"));
}

TEST_F(Completions, CarryIdsWithTheirTypeAndMetaUnchanged) {
    const auto all = answers(R"({"id": 17, "prompt": "A", "meta": {"z": [1, 2.50, "é"], "a": null}})"
                             "\n"
                             R"({"id": "17", "tokens": [0, 5, 6], "max_new_tokens": 2, "ignore_eos": true})"
                             "\n"
                             R"({"prompt": "no id"})"
                             "\n",
                             {"--return-tokens"});
    ASSERT_EQ(all.size(), 3U);
    EXPECT_THAT(keys_of(record_of(all, 17)), ElementsAre("id", "completion", "finish_reason", "prompt_tokens",
                                                         "completion_tokens", "tokens", "meta"));
    EXPECT_THAT(content("out.jsonl"), HasSubstr(R"("meta":{"z":[1,2.50,"é"],"a":null}})"));
    EXPECT_EQ(record_of(all, "17")["prompt_tokens"], 3);
    EXPECT_EQ(record_of(all, "17")["completion_tokens"], 2);
    EXPECT_EQ(record_of(all, "17")["tokens"].size(), 2U);
    record_of(all, "in.jsonl:3");
}

TEST_F(Completions, ContinueWhereTheirTokensEnd) {
    const OrderedJson whole = answer(
        {{"tokens", {0, 40, 50, 60}}, {"max_new_tokens", 9}, {"ignore_eos", true}}, {"--return-tokens"});
    OrderedJson begun = {0, 40, 50, 60};
    for (int i = 0; i < 4; ++i) begun.push_back(whole["tokens"][static_cast<std::size_t>(i)]);
    const OrderedJson rest =
        answer({{"tokens", begun}, {"max_new_tokens", 5}, {"ignore_eos", true}}, {"--return-tokens"});
    EXPECT_EQ(OrderedJson(whole["tokens"].begin() + 4, whole["tokens"].end()),
              OrderedJson(rest["tokens"].begin(), rest["tokens"].end()));
    EXPECT_EQ(rest["prompt_tokens"], 8);
}

// The chat format by hand, as the checkpoint's template writes it.
TEST_F(Completions, OfMessagesAreThoseOfTheirRenderedText) {
    const auto same = [&](const OrderedJson& line, const Words& options, const std::string& rendered) {
        const OrderedJson chat = answer(line, options);
        const OrderedJson text = answer({{"prompt", rendered}});
        EXPECT_EQ(chat["completion"], text["completion"]) << rendered;
        EXPECT_EQ(chat["prompt_tokens"], text["prompt_tokens"]) << rendered;
    };
    const OrderedJson user = {{"role", "user"}, {"content", "Who goes there?"}};
    const std::string turn = "<｜User｜>Who goes there?<｜Assistant｜>";
    same({{"messages", {user}}}, {}, turn);
    same({{"prompt", "Who goes there?"}}, {"--chat"}, turn);
    same({{"messages", {user}}}, {"--system", "Be brief."}, "Be brief." + turn);
    same({{"messages", {{{"role", "system"}, {"content", "Own."}}, user}}}, {"--system", "Be brief."},
         "Own." + turn);
    same({{"messages", {user, {{"role", "assistant"}, {"content", "I."}}, user}}}, {},
         "<｜User｜>Who goes there?<｜Assistant｜>I.<｜end▁of▁sentence｜>" + turn);
}

TEST_F(Completions, ObeyTheOptionsOfTheirLineAboveThoseOfTheCommand) {
    const OrderedJson prompt = {{"prompt", "KING RICHARD:\nNow is"}, {"ignore_eos", true}};
    const auto with = [&](const OrderedJson& more) {
        OrderedJson line = prompt;
        line.update(more);
        return line;
    };
    const Words hot{"--temperature", "1.2", "--seed", "3", "--return-tokens"};
    const OrderedJson greedy = answer(prompt, {"--return-tokens"});
    const OrderedJson drawn = answer(prompt, hot);
    EXPECT_NE(drawn["tokens"], greedy["tokens"]);
    EXPECT_EQ(answer(with({{"temperature", 0}}), hot)["tokens"], greedy["tokens"]);
    EXPECT_EQ(answer(with({{"top_k", 1}}), hot)["tokens"], greedy["tokens"]);
    EXPECT_EQ(answer(with({{"temperature", 1.2}, {"seed", 3}}), {"--return-tokens"})["tokens"],
              drawn["tokens"]);
    EXPECT_NE(answer(with({{"seed", 4}}), hot)["tokens"], drawn["tokens"]);
    EXPECT_EQ(answer(with({{"max_new_tokens", 3}}), hot)["tokens"].size(), 3U);
}

TEST_F(Completions, EndBeforeAStopString) {
    const OrderedJson prompt = {{"prompt", "First Citizen:"}, {"ignore_eos", true}};
    const std::string whole = answer(prompt, {"--max-new-tokens", "24"})["completion"];
    ASSERT_GT(whole.size(), 12U);
    // Wherever the stop string begins, inside tokens and across their borders.
    for (std::size_t at = 1; at < 10; ++at) {
        const std::string stop = whole.substr(at, 3);
        const OrderedJson by_option =
            answer(prompt, {"--max-new-tokens", "24", "--stop", "@@@", "--stop=" + stop});
        EXPECT_EQ(by_option["completion"], whole.substr(0, whole.find(stop))) << stop;
        EXPECT_EQ(by_option["finish_reason"], "stop");
        OrderedJson line = prompt;
        line["stop"] = {stop, "@@@"};
        EXPECT_EQ(answer(line, {"--max-new-tokens", "24"})["completion"], by_option["completion"]);
    }
}

// Each token with its alternatives, whatever ends the completion.
TEST_F(Completions, ShowLogprobsWhenAsked) {
    const OrderedJson prompt = {{"prompt", "First Citizen:"}, {"ignore_eos", true}};
    const Words words{"--return-tokens", "--logprobs", "4"};
    const OrderedJson whole = answer(prompt, words);
    EXPECT_THAT(keys_of(whole), ElementsAre("id", "completion", "finish_reason", "prompt_tokens",
                                            "completion_tokens", "tokens", "logprobs"));
    ASSERT_EQ(whole["logprobs"].size(), 12U);
    std::string text;
    for (std::size_t i = 0; i < 12; ++i) {
        const OrderedJson& position = whole["logprobs"][i];
        EXPECT_THAT(keys_of(position), ElementsAre("id", "token", "logprob", "top"));
        EXPECT_EQ(position["id"], whole["tokens"][i]);
        ASSERT_EQ(position["top"].size(), 4U);
        OrderedJson best = position;
        best.erase("top");
        EXPECT_EQ(position["top"][0], best) << "greedy takes the most likely token";
        for (std::size_t k = 1; k < 4; ++k)
            EXPECT_LE(position["top"][k]["logprob"], position["top"][k - 1]["logprob"]);
        text += position["token"].get<std::string>();
    }
    EXPECT_EQ(text, whole["completion"]);

    OrderedJson stopped = prompt;
    stopped["stop"] = text.substr(text.size() / 2, 3);
    const OrderedJson cut = answer(stopped, words);
    EXPECT_EQ(cut["finish_reason"], "stop");
    ASSERT_EQ(cut["logprobs"].size(), cut["tokens"].size()) << "the tokens of the stop string too";
    for (std::size_t i = 0; i < cut["logprobs"].size(); ++i)
        EXPECT_EQ(cut["logprobs"][i], whole["logprobs"][i]);

    OrderedJson own = prompt;
    own["logprobs"] = 2;
    EXPECT_EQ(answer(own)["logprobs"][5]["top"].size(), 2U);
    own["logprobs"] = 0;
    EXPECT_FALSE(answer(own, words).contains("logprobs"));
}

// At a high temperature a model of random weights draws its end token now and then. The same draws without
// it: every stopped completion is the beginning of one that went on past the end token.
TEST_F(Completions, IgnoreTheEndTokenOnlyWhenAsked) {
    std::string prompts;
    for (int i = 0; i < 48; ++i)
        prompts += OrderedJson({{"id", i}, {"prompt", "x" + std::to_string(i)}, {"seed", i}}).dump() + "\n";
    folder_.put("in.jsonl", prompts);
    const Words hot =
        files("wide", "in.jsonl", "out.jsonl") +
        Words{"--overwrite", "--return-tokens", "--temperature", "5", "--max-new-tokens", "250"};
    const auto ended = records(hot, "out.jsonl");
    const auto ignored = records(hot + Words{"--ignore-eos"}, "out.jsonl");
    constexpr int kEnd = 1;
    int stopped = 0;
    for (const OrderedJson& record : ended) {
        const OrderedJson& longer = record_of(ignored, record["id"])["tokens"];
        ASSERT_EQ(longer.size(), 250U);
        const auto length = record["tokens"].size();
        EXPECT_EQ(record["completion_tokens"], length);
        EXPECT_EQ(std::find(record["tokens"].begin(), record["tokens"].end(), kEnd), record["tokens"].end());
        EXPECT_TRUE(std::equal(record["tokens"].begin(), record["tokens"].end(), longer.begin()));
        EXPECT_EQ(record["finish_reason"], length < 250 ? "stop" : "length");
        if (length == 250) continue;
        EXPECT_EQ(longer[length], kEnd);
        ++stopped;
    }
    EXPECT_GT(stopped, 0);
    for (const OrderedJson& record : ignored) EXPECT_EQ(record["finish_reason"], "length");
}

TEST_F(Completions, OfStandardInputGoToStandardOutput) {
    const Words words{"--model", checkpoint("v3").string(), "--prompts", "-",         "--output",
                      "-",       "--max-new-tokens",        "4",         "--threads", "1"};
    const Ending lines = run(words + Words{"--prompt-format", "jsonl"}, 0,
                             "{\"id\":\"a\",\"prompt\":\"Hark\"}\n{\"prompt\":\"Hist\"}\n");
    EXPECT_EQ(lines.code, 0) << lines.err;
    const Ending text = run(words + Words{"--prompt-format", "txt"}, 0, "Hark\nHist\nWho\n");
    EXPECT_EQ(text.code, 0) << text.err;
    EXPECT_EQ(lines_of(lines.out).size(), 2U) << lines.out;
    ASSERT_EQ(lines_of(text.out).size(), 3U) << text.out;
    for (const std::string& line : lines_of(text.out))
        EXPECT_THAT(OrderedJson::parse(line).at("id").get<std::string>(), testing::StartsWith("-:")) << line;
    if (SLUICE_HAVE_MPI == 0) return;
    const Ending ranks = run(words + Words{"--prompt-format", "txt"}, 2, "Hark\nHist\nWho\n");
    EXPECT_EQ(sorted_lines(ranks.out), sorted_lines(text.out)) << ranks.err;
}

TEST_F(Completions, OfSeveralFilesComeFromAllOfThem) {
    folder_.put("a.txt", "one\ntwo\n");
    folder_.put("b.jsonl", "{\"prompt\":\"three\"}\n{\"id\":\"a.txt:2\",\"prompt\":\"taken\"}\n");
    const auto all =
        records({"--model", checkpoint("v3").string(), "--prompts", path("a.txt"), path("b.jsonl"),
                 "--output", path("out.jsonl"), "--max-new-tokens", "3", "--threads", "1"},
                "out.jsonl", 0, 5);
    ASSERT_EQ(all.size(), 4U);
    record_of(all, "a.txt:1");
    record_of(all, "b.jsonl:1");
    const auto repeats = std::ranges::count_if(all, [](const OrderedJson& r) {
        return r.contains("error") && r["error"]["code"] == "duplicate_id";
    });
    EXPECT_EQ(repeats, 1);
}

TEST_F(Completions, AreTheSameOnAnyNumberOfRanks) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    folder_.put("in.jsonl", mixed_prompts(24));
    const auto lines = [&](const std::string& model, int ranks, const Words& more) {
        const Ending ending = run(
            files(model, "in.jsonl", "out.jsonl") +
                Words{"--overwrite", "--return-tokens", "--logprobs", "3", "--max-new-tokens", "16"} + more,
            ranks);
        EXPECT_EQ(ending.code, 0) << ending.err;
        return sorted_lines(content("out.jsonl"));
    };
    for (const Words& sampling : {Words{"--temperature", "0"}, Words{"--temperature", "0.7"}}) {
        const auto alone = lines("v3", 0, sampling);
        EXPECT_EQ(alone.size(), 24U);
        for (const int ranks : {2, 4}) EXPECT_EQ(lines("v3", ranks, sampling), alone) << ranks << " ranks";
    }
    EXPECT_EQ(lines("wide", 8, {}), lines("wide", 0, {}));
}

}  // namespace
}  // namespace sluice::test
