// sluice-score as a user runs it: what it makes of files of texts, the same on any number of ranks, and
// exactly once whatever stops it.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <random>
#include <thread>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Words keys_of(const OrderedJson& record) {
    Words keys;
    for (const auto& item : record.items()) keys.push_back(item.key());
    return keys;
}

// Whole texts and completions of prompts.
std::string mixed_texts(int count) {
    std::string text;
    int i = 0;
    for (const std::string& line : lines_of(mixed_prompts(count))) {
        OrderedJson object = OrderedJson::parse(line);
        if (i % 3 == 1) object["completion"] = " And that is the end, my lord.";
        if (i % 4 == 2) object["logprobs"] = i % 7;
        text += object.dump() + "\n";
        ++i;
    }
    return text;
}

class Scoring : public JobTest {
protected:
    Scoring() {
        program_ = SLUICE_SCORE;
        input_ = "--input";
    }
    std::vector<OrderedJson> scores(const std::string& texts, const Words& more = {}, int code = 0) const {
        folder_.put("in.jsonl", texts);
        return records(files("v3", "in.jsonl", "out.jsonl") + Words{"--overwrite"} + more, "out.jsonl", 0,
                       code);
    }
    OrderedJson score(const OrderedJson& text, const Words& more = {}) const {
        const std::vector<OrderedJson> all = scores(text.dump() + "\n", more);
        return all.size() == 1 ? all.front() : OrderedJson::object();
    }
};

// The record agrees with itself: `given` tokens without a log-probability, and the sums of the others.
void expect_sound(const OrderedJson& record, std::size_t given) {
    SCOPED_TRACE(record.dump());
    const OrderedJson& logprobs = record["logprobs"];
    ASSERT_EQ(logprobs.size(), record["tokens"].size());
    double sum = 0;
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
        EXPECT_EQ(logprobs[i].is_null(), i < given) << i;
        if (i < given) continue;
        EXPECT_LE(logprobs[i].get<double>(), 0);
        sum += static_cast<double>(logprobs[i].get<float>());
    }
    const std::size_t count = logprobs.size() - given;
    EXPECT_EQ(record["token_count"], count);
    EXPECT_EQ(record["sum_logprob"].get<double>(), sum);
    EXPECT_DOUBLE_EQ(record["perplexity"].get<double>(), std::exp(-sum / static_cast<double>(count)));
    EXPECT_EQ(record["finish_reason"], "stop");
}

TEST_F(Scoring, OfATextFileHasExactlyTheFieldsPromised) {
    folder_.put("in.txt", "KING:\n\n   \nFirst Citizen:\r\nlast line without an end");
    const auto all = records(files("v3", "in.txt", "out.jsonl"), "out.jsonl");
    ASSERT_EQ(all.size(), 3U);
    for (const char* id : {"in.txt:1", "in.txt:4", "in.txt:5"}) {
        const OrderedJson& record = record_of(all, id);
        EXPECT_THAT(keys_of(record), ElementsAre("id", "tokens", "logprobs", "sum_logprob", "perplexity",
                                                 "token_count", "finish_reason"));
        EXPECT_EQ(record["tokens"][0], 0) << "BOS, as for generating";
        expect_sound(record, 1);
    }
    EXPECT_TRUE(exists("out.jsonl.run.json"));
}

TEST_F(Scoring, TakesTextsPromptsTokensMessagesAndCompletions) {
    const auto all =
        scores(R"({"id": 17, "text": "Speak, speak.", "meta": {"z": [1, 2.50], "a": null}})"
               "\n"
               R"({"id": "prompt", "prompt": "Speak, speak.", "temperature": 0.5})"
               "\n"
               R"({"id": "tokens", "tokens": [40, 50, 60]})"
               "\n"
               R"({"id": "both", "prompt": "Speak,", "completion": " speak."})"
               "\n"
               R"({"id": "chat", "messages": [{"role": "user", "content": "Who?"}], "completion": "I."})"
               "\n"
               R"({"id": "rendered", "prompt": "<｜User｜>Who?<｜Assistant｜>", "completion": "I."})"
               "\n");
    ASSERT_EQ(all.size(), 6U);
    expect_sound(record_of(all, 17), 1);
    EXPECT_THAT(content("out.jsonl"), HasSubstr(R"("meta":{"z":[1,2.50],"a":null}})"));
    EXPECT_EQ(record_of(all, "prompt")["logprobs"], record_of(all, 17)["logprobs"]);
    EXPECT_EQ(record_of(all, "tokens")["tokens"], OrderedJson({40, 50, 60}));
    expect_sound(record_of(all, "tokens"), 1);
    const OrderedJson& both = record_of(all, "both");
    const OrderedJson prompt = score({{"text", "Speak,"}});
    expect_sound(both, prompt["tokens"].size());
    EXPECT_EQ(both["tokens"], record_of(all, 17)["tokens"]) << "here the cut falls between tokens";
    EXPECT_EQ(both["logprobs"].back(), record_of(all, 17)["logprobs"].back());
    EXPECT_EQ(record_of(all, "chat")["tokens"], record_of(all, "rendered")["tokens"]);
    EXPECT_EQ(record_of(all, "chat")["logprobs"], record_of(all, "rendered")["logprobs"]);
}

TEST_F(Scoring, ShowsTheMostLikelyTokensWhenAsked) {
    const OrderedJson record =
        score({{"prompt", "First Citizen:"}, {"completion", " Speak, speak."}}, {"--logprobs", "3"});
    const auto given = static_cast<std::size_t>(std::ranges::count(record["logprobs"], OrderedJson()));
    expect_sound(record, given);
    const OrderedJson& tops = record["top_logprobs"];
    ASSERT_EQ(tops.size(), record["tokens"].size());
    for (std::size_t i = 0; i < tops.size(); ++i) {
        EXPECT_EQ(tops[i].is_null(), i < given);
        if (i < given) continue;
        ASSERT_EQ(tops[i].size(), 3U);
        for (std::size_t k = 0; k < 3; ++k) {
            EXPECT_THAT(keys_of(tops[i][k]), ElementsAre("id", "token", "logprob"));
            if (k > 0) {
                EXPECT_LE(tops[i][k]["logprob"], tops[i][k - 1]["logprob"]);
            }
            if (tops[i][k]["id"] == record["tokens"][i]) {
                EXPECT_EQ(tops[i][k]["logprob"], record["logprobs"][i]);
            }
        }
        EXPECT_GE(tops[i][0]["logprob"], record["logprobs"][i]);
    }
}

// What generating said of each token while it chose it, to the last digit.
TEST_F(Scoring, SaysWhatGeneratingSaid) {
    folder_.put("prompts.jsonl",
                R"({"id":"a","tokens":[0,40,50,60],"temperature":0.8,"repetition_penalty":1.2})"
                "\n"
                R"({"id":"b","tokens":[0,7],"temperature":0})"
                "\n");
    program_ = SLUICE_GENERATE;
    input_ = "--prompts";
    const auto completions =
        records(files("v3", "prompts.jsonl", "made.jsonl") +
                    Words{"--logprobs", "5", "--return-tokens", "--max-new-tokens", "40", "--ignore-eos"},
                "made.jsonl");
    program_ = SLUICE_SCORE;
    input_ = "--input";
    std::string texts;
    for (const auto& [id, prompt] :
         {std::pair<std::string, OrderedJson>{"a", {0, 40, 50, 60}}, {"b", {0, 7}}}) {
        OrderedJson tokens = prompt;
        for (const OrderedJson& token : record_of(completions, id)["tokens"]) tokens.push_back(token);
        texts += OrderedJson({{"id", id}, {"tokens", tokens}}).dump() + "\n";
    }
    const auto all = scores(texts, {"--logprobs", "5", "--max-batch-tokens", "70"});
    for (const char* id : {"a", "b"}) {
        const OrderedJson& positions = record_of(completions, id)["logprobs"];
        const OrderedJson& record = record_of(all, id);
        ASSERT_EQ(positions.size(), 40U);
        const std::size_t given = record["tokens"].size() - 40;
        for (std::size_t i = 0; i < 40; ++i) {
            EXPECT_EQ(record["logprobs"][given + i], positions[i]["logprob"]) << id << " " << i;
            EXPECT_EQ(record["top_logprobs"][given + i], positions[i]["top"]) << id << " " << i;
        }
    }
}

TEST_F(Scoring, AnswersWhatCannotBeScoredByErrorRecords) {
    const std::vector<std::pair<std::string, std::string>> lines{
        {R"({"id": "good", "text": "Speak"})", ""},
        {R"({"id": "x", "text": )", "bad_json"},
        {"{\"text\": \"caf\xC3\"}", "bad_utf8"},
        {R"({"id": "none", "completion": "a"})", "no_prompt"},
        {R"({"id": "two", "text": "a", "tokens": [1]})", "two_prompts"},
        {R"({"id": "empty", "text": "a", "completion": ""})", "empty_completion"},
        {R"({"id": "typo", "txet": "a"})", "unknown_key"},
        {R"({"id": "good", "text": "again"})", "duplicate_id"},
        {R"({"id": "far", "tokens": [999999]})", "token_out_of_range"},
        {OrderedJson({{"id", "long"}, {"text", std::string(4000, 'a')}, {"meta", {1}}}).dump(), "too_long"},
        {R"({"id": "last", "text": "Speak"})", ""},
    };
    std::string text;
    for (const auto& [line, code] : lines) text += line + "\n";
    const auto all = scores(text, {"--max-seq-len", "128"}, 5);
    Words expected, found;
    for (const auto& [line, code] : lines) expected.push_back(code);
    for (const OrderedJson& record : all) {
        found.push_back(record.contains("error") ? record["error"]["code"].get<std::string>() : "");
        EXPECT_EQ(record["finish_reason"] == "error", record.contains("error")) << record;
        if (!record.contains("error")) continue;
        EXPECT_EQ(record["token_count"], 0) << record;
        EXPECT_TRUE(record["sum_logprob"].is_null()) << record;
    }
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
    EXPECT_EQ(record_of(all, "long")["meta"], OrderedJson({1}));
}

TEST_F(Scoring, EndsWithThePerplexityOfAllTexts) {
    folder_.put("in.jsonl", mixed_texts(9));
    const Ending ending = run(files("v3", "in.jsonl", "out.jsonl"));
    EXPECT_EQ(ending.code, 0) << ending.err;
    double sum = 0;
    double tokens = 0;
    for (const std::string& line : lines_of(content("out.jsonl"))) {
        const OrderedJson record = OrderedJson::parse(line);
        sum += record["sum_logprob"].get<double>();
        tokens += record["token_count"].get<double>();
    }
    char perplexity[64];
    std::snprintf(perplexity, sizeof perplexity, "perplexity %.6g of %.0f scored tokens",
                  std::exp(-sum / tokens), tokens);
    EXPECT_THAT(ending.err, AllOf(HasSubstr("9 texts"), HasSubstr(perplexity)));
    // Resumed after the last text, it still speaks of all.
    const Ending again = run(files("v3", "in.jsonl", "out.jsonl") + Words{"--resume"});
    EXPECT_THAT(again.err, AllOf(HasSubstr("0 texts after 9 of earlier runs"), HasSubstr(perplexity)));
}

TEST_F(Scoring, RefusesWhatItCannotDo) {
    folder_.put("in.txt", "Speak\n");
    const auto refused = [&](const Words& words, int code, const std::string& said) {
        const Ending ending = run(files("v3", "in.txt", "out.jsonl") + words);
        EXPECT_EQ(ending.code, code) << ending.err;
        EXPECT_EQ(occurrences(ending.err, said), 1) << ending.err;
        EXPECT_FALSE(exists("out.jsonl"));
    };
    refused({"--logprobs", "21"}, 2, "logprobs is 21");
    refused({"--temperature", "1"}, 2, "--temperature");
    refused({"--max-batch", "300", "--max-batch-tokens", "256"}, 2, "--max-batch-tokens 256");
    const Ending help = run({"--help"});
    EXPECT_EQ(help.code, 0);
    for (const char* option :
         {"--input",       "--output",    "--logprobs",   "--chat",       "--max-batch-tokens",
          "--resume",      "--kv-memory", "--gemm",       "--progress",   "--comm",
          "--field",       "--partition", "--ordered",    "--sync-every", "--time-limit",
          "--stop-margin", "--stop-file", "--max-errors", "--metrics",    "--heartbeat-limit"})
        EXPECT_THAT(help.out, HasSubstr(option));
}

TEST_F(Scoring, StopsAndGoesOnLikeGenerating) {
    folder_.put("in.txt", "Speak, speak.\nHark\nFirst Citizen:\n");
    const Words words = files("v3", "in.txt", "out.jsonl") + Words{"--metrics", path("run.json")};
    EXPECT_EQ(run(words + Words{"--time-limit", "0.000001s"}).code, 75);
    EXPECT_EQ(run(words + Words{"--resume"}).code, 0);
    const OrderedJson metrics = OrderedJson::parse(content("run.json"));
    EXPECT_EQ(metrics["state"], "complete");
    EXPECT_EQ(metrics["requests"]["answered"], 3);
    EXPECT_EQ(lines_of(content("out.jsonl")).size(), 3U);
}

// A file of completions is no file of scores.
TEST_F(Scoring, DoesNotResumeAnotherJobsOutput) {
    folder_.put("in.txt", "Speak\n");
    program_ = SLUICE_GENERATE;
    input_ = "--prompts";
    EXPECT_EQ(run(files("v3", "in.txt", "out.jsonl") + Words{"--max-new-tokens", "2"}).code, 0);
    const std::string before = content("out.jsonl");
    program_ = SLUICE_SCORE;
    input_ = "--input";
    const Ending ending = run(files("v3", "in.txt", "out.jsonl") + Words{"--resume"});
    EXPECT_EQ(ending.code, 2);
    EXPECT_THAT(ending.err,
                AllOf(HasSubstr("cannot resume"), HasSubstr("job: recorded nothing, now \"score\"")));
    EXPECT_EQ(content("out.jsonl"), before);
}

TEST_F(Scoring, GivesTheSameBytesOnAnyNumberOfRanks) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    folder_.put("in.jsonl", mixed_texts(24));
    const auto lines = [&](int ranks, const Words& more) {
        const Ending ending =
            run(files("v3", "in.jsonl", "out.jsonl") + Words{"--overwrite", "--logprobs", "2"} + more, ranks);
        EXPECT_EQ(ending.code, 0) << ending.err;
        return sorted_lines(content("out.jsonl"));
    };
    const auto alone = lines(0, {});
    EXPECT_EQ(alone.size(), 24U);
    EXPECT_EQ(lines(2, {"--max-batch-tokens", "64", "--prefill-chunk", "13"}), alone);
    EXPECT_EQ(lines(4, {"--max-batch", "3", "--no-prefix-sharing"}), alone);
}

class ScoringOnce : public Scoring, public testing::WithParamInterface<int> {
protected:
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        folder_.put("in.jsonl", mixed_texts(80) + "no json\n{\"id\":\"r2\",\"text\":\"the same id\"}\n");
    }
    // Slow enough to be caught in the middle.
    Words words(const std::string& output) const {
        return files("v3", "in.jsonl", output) +
               Words{"--max-batch", "3", "--max-batch-tokens", "12", "--logprobs", "5"};
    }
    std::vector<std::string> undisturbed() const {
        const Ending ending = run(words("whole.jsonl"));
        EXPECT_EQ(ending.code, 5) << ending.err;
        return sorted_lines(content("whole.jsonl"));
    }
    std::uintmax_t size() const {
        return exists("out.jsonl") ? std::filesystem::file_size(path("out.jsonl")) : 0;
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, ScoringOnce, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(ScoringOnce, AfterKillsAtAnyMoment) {
    const std::vector<std::string> expected = undisturbed();
    EXPECT_EQ(expected.size(), 82U);
    const auto whole = std::filesystem::file_size(path("whole.jsonl"));
    std::mt19937 random(11);
    int caught = 0;
    for (int kill = 0; kill < 8 && size() < whole; ++kill) {
        const auto process = start(words("out.jsonl") + Words{"--resume"}, GetParam());
        if (kill % 4 == 3) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 600));
        } else if (grows_to(*process, path("out.jsonl"), size() + 1 + random() % (whole / 8))) {
            ++caught;
        }
        process->kill_tree();
    }
    EXPECT_GE(caught, 3) << "too few kills fell into the work to tell anything";
    const Ending end = run(words("out.jsonl") + Words{"--resume"}, GetParam());
    EXPECT_EQ(end.code, 5) << end.err;
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
}

TEST_P(ScoringOnce, AfterAStopBySignal) {
    const std::vector<std::string> expected = undisturbed();
    const auto process = start(words("out.jsonl"), GetParam());
    ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1)) << process->wait().err;
    process->signal(SIGUSR1);
    const Ending ending = process->wait();
    EXPECT_EQ(ending.code, 75) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("--resume"));
    EXPECT_LT(lines_of(content("out.jsonl")).size(), expected.size());
    EXPECT_EQ(run(words("out.jsonl") + Words{"--resume"}, GetParam()).code, 5);
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
}

}  // namespace
}  // namespace sluice::test
