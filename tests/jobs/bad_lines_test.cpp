// Every kind of bad line through the programs: tests/data/bad-lines/NAME, and NAME.errors or NAME.answers
// with the records that answer its bad lines. The completions of the good ones depend on the instruction set
// level, and would change with every kernel; they are compared with a run that has no bad lines, which proves
// more.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace sluice::test {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(SLUICE_TEST_DATA) / "bad-lines";

class BadLines : public JobTest {
protected:
    // Runs over the file of that name, whose lines `good` (from 1) are right.
    void expect_answers(const std::string& name, const std::string& answers, const std::vector<int>& good,
                        const Words& more) const {
        const std::string text = content_of(kFolder / name);
        const std::vector<std::string> lines = output_of(text, name, 5, more);
        // Bad lines made empty ones: the others keep their numbers.
        std::string without;
        int number = 0;
        for (const std::string& line : lines_of(text))
            without += std::ranges::count(good, ++number) > 0 ? line + "\n" : "\n";
        const std::vector<std::string> right = output_of(without, name, 0, more);
        ASSERT_GE(right.size(), good.size());
        std::vector<std::string> records;
        std::ranges::set_difference(lines, right, std::back_inserter(records));
        EXPECT_EQ(records, sorted_lines(content_of(kFolder / answers)));
        EXPECT_EQ(lines.size(), right.size() + records.size()) << "a good line has another answer";
        // In the order of the input the same lines, and nothing that is printed or kept differs.
        EXPECT_EQ(output_of(text, name, 5, more + Words{"--ordered"}), lines);
    }

private:
    std::vector<std::string> output_of(const std::string& text, const std::string& name, int code,
                                       const Words& more) const {
        folder_.put(name, text);
        const Ending ending = run(files("v3", name, "out.jsonl") + Words{"--overwrite"} + more);
        EXPECT_EQ(ending.code, code) << ending.err;
        return sorted_lines(content("out.jsonl"));
    }
};

TEST_F(BadLines, OfTextFiles) {
    expect_answers("text.txt", "text.txt.errors", {1, 6}, {"--max-new-tokens", "6"});
}

TEST_F(BadLines, OfJsonLines) {
    expect_answers("jsonl.jsonl", "jsonl.jsonl.errors", {1, 26}, {"--max-new-tokens", "6"});
}

TEST_F(BadLines, OfTheBatchApiAreItsResponses) {
    expect_answers("openai.jsonl", "openai.jsonl.answers", {1, 27},
                   {"--max-new-tokens", "6", "--prompt-format", "openai"});
}

// What only the tokenizer, the chat template and the model can find.
TEST_F(BadLines, ThatAreRefusedLater) {
    expect_answers("later.jsonl", "later.jsonl.answers", {1, 4, 7, 10},
                   {"--max-new-tokens", "6", "--max-seq-len", "24", "--chat-format", "mixtral"});
}

TEST_F(BadLines, OfTextsToScore) {
    program_ = SLUICE_SCORE;
    input_ = "--input";
    expect_answers("score.jsonl", "score.jsonl.answers", {1}, {});
}

TEST_F(BadLines, OfMessagesWithoutAChatTemplate) {
    folder_.put("in.jsonl", R"({"id":"chat","messages":[{"role":"user","content":"Hark"}],"meta":[1.50]})"
                            "\n"
                            R"({"id":"plain","prompt":"Hark"})"
                            "\n");
    const Words words = files("grok", "in.jsonl", "out.jsonl") + Words{"--max-new-tokens", "2"};
    const auto all = records(words, "out.jsonl", 0, 5);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(record_of(all, "chat")["error"]["code"], "no_chat_template");
    EXPECT_THAT(record_of(all, "chat")["error"]["message"].get<std::string>(),
                testing::HasSubstr("--chat-format"));
    EXPECT_THAT(content("out.jsonl"), testing::HasSubstr(R"("meta":[1.50]})"));
    EXPECT_EQ(record_of(all, "plain")["completion_tokens"], 2);
    EXPECT_EQ(run(words + Words{"--overwrite", "--chat-format", "chatml"}).code, 0);
}

// A line of 64 MiB and more is read past, not kept.
TEST_F(BadLines, TooLongToBeRead) {
    folder_.put("in.jsonl", R"({"id":"a","prompt":")" + std::string(64U << 20, 'x') + "\"}\n" +
                                R"({"id":"b","prompt":"Hark"})" + "\n");
    const auto all =
        records(files("v3", "in.jsonl", "out.jsonl") + Words{"--max-new-tokens", "2"}, "out.jsonl", 0, 5);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(record_of(all, "in.jsonl:1")["error"]["code"], "line_too_long");
    EXPECT_EQ(record_of(all, "b")["prompt_tokens"], 3);
}

}  // namespace
}  // namespace sluice::test
