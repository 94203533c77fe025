// Whatever files prompts come in, the answers are those of the same lines in one plain file.
#include "jobs/job.hpp"
#include "text/packed.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const Words kShort{"--max-new-tokens", "6", "--temperature", "0"};

class Inputs : public JobTest {
protected:
    std::vector<std::string> answers(const Words& prompts, const Words& more = {}, int code = 0,
                                     const std::string& input = "") const {
        const Words words = Words{"--model",  checkpoint("v3").string(), "--threads", "1", "--overwrite",
                                  "--output", path("out.jsonl"),         "--prompts"} +
                            prompts + kShort + more;
        const Ending ending = run(words, 0, input);
        EXPECT_EQ(ending.code, code) << ending.err;
        return sorted_lines(content("out.jsonl"));
    }
    std::vector<std::string> answers_of(const std::string& jsonl, int code = 0) const {
        return answers({folder_.put("plain.jsonl", jsonl).string()}, {}, code);
    }
};

const std::string kA = "{\"id\":\"a1\",\"prompt\":\"Speak, speak.\"}\n{\"id\":\"a2\",\"tokens\":[0,5,6]}\n";
const std::string kB =
    "{\"id\":\"b1\",\"prompt\":\"First Citizen:\"}\n{\"id\":2,\"prompt\":\"Hark\",\"n\":2}\n";
const std::string kC = "KING:\n\nNow is the winter";
// The same as jsonl, with the names that lines without an id are given.
const std::string kCOf = R"({"id":"c.txt.zst:1","prompt":"KING:"})"
                         "\n"
                         R"({"id":"c.txt.zst:3","prompt":"Now is the winter"})"
                         "\n";

TEST_F(Inputs, MayBeAFolderAPatternAndPacked) {
    std::filesystem::create_directories(path("data/inner.jsonl"));
    folder_.put("data/a.jsonl", kA);
    folder_.put("data/b.jsonl.gz", gzip(kB));
    folder_.put("data/c.txt.zst", zstd(kC));
    folder_.put("data/notes.md", "no prompts");
    folder_.put("data/inner.jsonl/d.jsonl", "no json");
    const std::vector<std::string> expected = answers_of(kA + kB + kCOf);
    ASSERT_EQ(expected.size(), 7U);
    EXPECT_EQ(answers({path("data")}), expected);
    EXPECT_EQ(answers({path("data/?.*")}), expected);
    EXPECT_EQ(answers({path("data/c.txt.zst"), path("data/[ab].jsonl*")}), expected);
    EXPECT_EQ(answers({path("data/*.jsonl.gz")}), answers_of(kB));
    const Ending nothing = run({"--model", checkpoint("v3").string(), "--prompts", path("data/*.json"),
                                "--output", path("none.jsonl")});
    EXPECT_EQ(nothing.code, 4);
    EXPECT_THAT(nothing.err, HasSubstr("data/*.json"));
    EXPECT_FALSE(exists("none.jsonl"));
}

TEST_F(Inputs, MayBeStandardInput) {
    const std::vector<std::string> expected = answers_of(kA + kB);
    EXPECT_EQ(answers({"-"}, {}, 0, kA + kB), expected);
    EXPECT_EQ(answers({"-"}, {}, 0, gzip(kA) + gzip(kB)), expected);
    const std::string a = folder_.put("a.jsonl.gz", gzip(kA)).string();
    EXPECT_EQ(answers({a, "-"}, {}, 0, kB), expected);
}

TEST_F(Inputs, ThatAreCutShortEndTheRunAfterTheLinesBefore) {
    std::string lines;
    for (int i = 0; i < 60; ++i)
        lines += OrderedJson({{"id", i}, {"prompt", std::to_string(i * i)}}).dump() + "\n";
    const std::string packed = gzip(lines);
    folder_.put("in.jsonl.gz", packed.substr(0, packed.size() * 3 / 4));
    const Words words = files("v3", "in.jsonl.gz", "out.jsonl") + kShort;
    const Ending cut = run(words + Words{"--ordered"});
    EXPECT_EQ(cut.code, 4) << cut.err;
    EXPECT_THAT(cut.err, AllOf(HasSubstr("in.jsonl.gz"), HasSubstr("cut short")));
    const std::vector<std::string> before = lines_of(content("out.jsonl"));
    EXPECT_GT(before.size(), 30U);
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(OrderedJson::parse(before[i])["id"], i);
    folder_.put("in.jsonl.gz", packed);
    EXPECT_EQ(run(words + Words{"--ordered", "--resume"}).code, 0);
    EXPECT_EQ(sorted_lines(content("out.jsonl")), answers_of(lines));
}

// A data set has other columns, whose names may even be those of our own options.
TEST_F(Inputs, MayBeADataSet) {
    const std::string set =
        folder_
            .put("set.ndjson", R"({"id":"s1","text":"Speak, speak.","label":3,"temperature":"hot"})"
                               "\n"
                               R"({"text":[{"role":"user","content":"Who?"}],"prompt":7,"n":9})"
                               "\n"
                               R"({"id":3,"text":[0,5,6],"meta":{"kept":1.50},"messages":[]})"
                               "\n"
                               R"({"id":"s4","label":4})"
                               "\n")
            .string();
    const std::vector<std::string> expected =
        answers_of(R"({"id":"s1","prompt":"Speak, speak."})"
                   "\n"
                   R"({"id":"set.ndjson:2","messages":[{"role":"user","content":"Who?"}]})"
                   "\n"
                   R"({"id":3,"tokens":[0,5,6],"meta":{"kept":1.50}})"
                   "\n");
    std::vector<std::string> lines = answers({set}, {"--field", "text"}, 5);
    EXPECT_EQ(
        std::erase_if(lines, [](const std::string& line) { return line.find("no_prompt") != line.npos; }),
        1U);
    EXPECT_EQ(lines, expected);
}

}  // namespace
}  // namespace sluice::test
