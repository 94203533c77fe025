// The formats of the output: what they hold, in which order, and that a run killed and stopped at any moment
// is resumed to the lines of an undisturbed one.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <random>

namespace sluice::test {
namespace {

// Lines of our own and of the Batch API, some that ask for several completions, and some that are wrong.
std::string input() {
    return mixed_prompts(12) +
           R"({"id":"two","prompt":"First Citizen:\nBefore","n":2,"seed":3})"
           "\n"
           R"({"id":"r2","prompt":"the same id"})"
           "\n"
           R"({"custom_id":"chat","method":"POST","url":"/v1/chat/completions",)"
           R"("body":{"model":"m","messages":[{"role":"user","content":"Who goes there?"}]}})"
           "\n"
           R"({"custom_id":"text","method":"POST","url":"/v1/completions",)"
           R"("body":{"model":"m","prompt":"Who goes there?","n":2,"max_tokens":3}})"
           "\n"
           "no json\n" +
           R"({"id":17,"prompt":"Exeunt.","temperature":0})"
           "\n";
}

class Formats : public JobTest {
protected:
    void SetUp() override { folder_.put("in.jsonl", input()); }

    Ending run_to(const std::string& output, const Words& more) const {
        return run(files("v3", "in.jsonl", output) + Words{"--max-new-tokens", "16", "--max-batch", "4"} +
                   more);
    }
    // The file of a run that nothing disturbs.
    std::string whole(const Words& more) const {
        const Ending ending = run_to("whole", more + Words{"--overwrite"});
        EXPECT_EQ(ending.code, 5) << ending.err;
        return content("whole");
    }
};

struct Way {
    std::string format;  // empty: as asked
    bool ordered;
    int n;
};

void PrintTo(const Way& way, std::ostream* out) {
    *out << (way.format.empty() ? "as_asked" : way.format) << (way.ordered ? "_ordered_" : "_") << way.n;
}

std::vector<Way> ways() {
    std::vector<Way> all;
    for (const char* format : {"", "jsonl", "openai", "txt"}) {
        for (const bool ordered : {false, true}) {
            if (ordered && format == std::string("txt")) continue;  // it always is
            for (const int n : {1, 3}) all.push_back({format, ordered, n});
        }
    }
    return all;
}

class FormatsResumed : public Formats, public testing::WithParamInterface<Way> {
protected:
    Words more() const {
        const Way& way = GetParam();
        Words words{"--n", std::to_string(way.n)};
        if (!way.format.empty()) words = words + Words{"--output-format", way.format};
        if (way.ordered) words.push_back("--ordered");
        return words;
    }
    std::uintmax_t size() const { return exists("out") ? std::filesystem::file_size(path("out")) : 0; }
    // Starts or resumes the run, lets it write some of what is left, and gives it a signal; returns its exit
    // code.
    int disturb(int signal, std::uintmax_t whole) {
        const auto process = start(files("v3", "in.jsonl", "out") +
                                   Words{"--max-new-tokens", "16", "--max-batch", "4", "--resume"} + more());
        const std::uintmax_t left = whole - std::min(size(), whole);
        grows_to(*process, path("out"), size() + 1 + random_() % (left / 3 + 1));
        process->signal(signal);
        return process->wait().code;
    }

private:
    std::mt19937 random_{7};
};

INSTANTIATE_TEST_SUITE_P(All, FormatsResumed, testing::ValuesIn(ways()),
                         [](const auto& test) { return testing::PrintToString(test.param); });

TEST_P(FormatsResumed, HoldTheLinesOfAnUndisturbedRun) {
    const std::string expected = whole(more());
    int caught = 0;
    for (const int signal : {SIGKILL, SIGUSR1, SIGKILL, SIGUSR1}) {
        const int code = disturb(signal, expected.size());
        ASSERT_TRUE(code == 5 || code == (signal == SIGKILL ? 128 + SIGKILL : 75)) << code;
        caught += code != 5 ? 1 : 0;
    }
    EXPECT_GT(caught, 0) << "the run was over each time before the signal came";
    const Ending ending = run_to("out", more() + Words{"--resume"});
    EXPECT_EQ(ending.code, 5) << ending.err;
    EXPECT_EQ(sorted_lines(content("out")), sorted_lines(expected));
    if (GetParam().ordered || GetParam().format == "txt") {
        EXPECT_EQ(content("out"), expected);
    }
    EXPECT_FALSE(exists("out.partial"));
}

// A txt line to the text it stands for.
std::string unescaped(const std::string& line) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '\\') {
            text += line[i];
            continue;
        }
        EXPECT_LT(++i, line.size()) << line;
        EXPECT_THAT("\\nr", testing::HasSubstr(std::string(1, line[i]))) << line;
        text += line[i] == 'n' ? '\n' : line[i] == 'r' ? '\r' : '\\';
    }
    return text;
}

TEST_F(Formats, TxtHasTheCompletionsOfJsonlInTheOrderOfTheInput) {
    const Words several{"--n", "3"};
    const auto jsonl = lines_of(whole(several + Words{"--output-format", "jsonl", "--ordered"}));
    const auto txt = lines_of(whole(several + Words{"--output-format", "txt"}));
    ASSERT_EQ(txt.size(), jsonl.size());
    int escaped = 0;
    for (std::size_t i = 0; i < txt.size(); ++i) {
        const OrderedJson record = OrderedJson::parse(jsonl[i]);
        if (record.contains("error")) {
            const OrderedJson& error = record["error"];
            EXPECT_EQ(txt[i], "\\error " + error["code"].get<std::string>() + " " +
                                  error["message"].get<std::string>());
        } else {
            EXPECT_EQ(unescaped(txt[i]), record["completion"].get<std::string>());
            escaped += txt[i].find('\\') != std::string::npos ? 1 : 0;
        }
    }
    EXPECT_GT(escaped, 0);
}

// The same choices under the same ids, in the shape of the Batch API.
TEST_F(Formats, OpenAiHasTheCompletionsOfJsonl) {
    const Words several{"--n", "3", "--ordered", "--return-tokens"};
    const auto jsonl = lines_of(whole(several + Words{"--output-format", "jsonl"}));
    const auto openai = lines_of(whole(several + Words{"--output-format", "openai"}));
    auto next = jsonl.begin();
    for (const std::string& line : openai) {
        const OrderedJson record = OrderedJson::parse(line);
        const OrderedJson& body = record["response"]["body"];
        const std::size_t choices = body.contains("choices") ? body["choices"].size() : 1;
        for (std::size_t i = 0; i < choices; ++i, ++next) {
            ASSERT_NE(next, jsonl.end());
            const OrderedJson expected = OrderedJson::parse(*next);
            EXPECT_EQ(record["custom_id"], expected["id"]);
            if (body.contains("error")) {
                EXPECT_EQ(record["response"]["status_code"], 400);
                EXPECT_EQ(body["error"]["code"], expected["error"]["code"]);
                continue;
            }
            const OrderedJson& choice = body["choices"][i];
            EXPECT_EQ(record["response"]["status_code"], 200);
            EXPECT_EQ(choice["index"], expected["index"]);
            const bool chat = body["object"] == "chat.completion";
            EXPECT_EQ(chat ? choice["message"]["content"] : choice["text"], expected["completion"]);
            EXPECT_EQ(choice["tokens"], expected["tokens"]);
            EXPECT_EQ(choice["finish_reason"], expected["finish_reason"]);
            EXPECT_EQ(body["usage"]["prompt_tokens"], expected["prompt_tokens"]);
        }
    }
    EXPECT_EQ(next, jsonl.end());
}

// The first request is the last to be finished.
TEST_F(Formats, InTheOrderOfTheInputWhateverFinishesFirst) {
    std::string lines = R"({"id":"long","prompt":"First Citizen:","max_new_tokens":60})"
                        "\n";
    for (int i = 0; i < 20; ++i)
        lines +=
            OrderedJson({{"id", i}, {"prompt", "Hark"}, {"seed", i}, {"max_new_tokens", 2}}).dump() + "\n";
    folder_.put("in.jsonl", lines);
    const Words all{"--ignore-eos", "--overwrite"};
    ASSERT_EQ(run_to("out", all).code, 0);
    EXPECT_EQ(OrderedJson::parse(lines_of(content("out")).back())["id"], "long");
    ASSERT_EQ(run_to("ordered", all + Words{"--ordered"}).code, 0);
    EXPECT_EQ(sorted_lines(content("ordered")), sorted_lines(content("out")));
    const auto ordered = lines_of(content("ordered"));
    ASSERT_EQ(ordered.size(), 21U);
    EXPECT_EQ(OrderedJson::parse(ordered[0])["id"], "long");
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(OrderedJson::parse(ordered[i + 1])["id"], i);
}

}  // namespace
}  // namespace sluice::test
