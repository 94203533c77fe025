// Jobs that each answer a part of the input, and sluice-merge, which makes one output of theirs.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kParts = 3;
constexpr std::size_t kLines = 21;  // of the whole's output

std::string part_name(int part) { return "part-" + std::to_string(part); }

class Parts : public JobTest {
protected:
    // Ids of one part are repeated in another, in the same file and in a later one.
    void SetUp() override {
        put_input(2);
        folder_.put("b.txt", "KING:\n\nHark\ncaf\xC3\nExeunt");
        folder_.put("c.jsonl", R"({"id":"r4","prompt":"again"})");
    }

    // `n`: completions that one of the lines asks for.
    void put_input(int n) const {
        folder_.put("a.jsonl", mixed_prompts(13) + "{\"id\":\"r0\",\"prompt\":\"the same id\"}\nno json\n\n" +
                                   R"({"custom_id":"api","method":"POST","url":"/v1/completions",)" +
                                   R"("body":{"prompt":"Who goes there?","n":)" + std::to_string(n) + "}}\n");
    }

    Ending write(const std::string& output, const Words& more) const {
        return run(Words{"--model", checkpoint("v3").string(), "--threads", "1", "--max-new-tokens", "6",
                         "--prompts", path("a.jsonl"), path("b.txt"), path("c.jsonl"), "--output",
                         path(output)} +
                   more);
    }
    void write_parts(const Words& more) const {
        for (int part = 1; part <= kParts; ++part) {
            const Words share{"--partition", std::to_string(part) + "/" + std::to_string(kParts)};
            const Ending ending = write(part_name(part), share + more);
            EXPECT_TRUE(ending.code == 5) << ending.err;
        }
    }
    Ending merge(const Words& more = {}) const {
        Words words{SLUICE_MERGE, "--output", path("merged")};
        for (const int part : {2, 3, 1}) words.push_back(path(part_name(part)));
        return Process(words + more, folder_.path()).wait();
    }
};

TEST_F(Parts, TogetherAreTheWhole) {
    ASSERT_EQ(write("whole", {}).code, 5);
    write_parts({});
    std::string together;
    for (int part = 1; part <= kParts; ++part) {
        const std::string lines = content(part_name(part));
        EXPECT_GE(lines_of(lines).size(), 6U) << "parts are of one size";
        together += lines;
    }
    // As many lines: none is in two parts.
    const std::vector<std::string> expected = sorted_lines(content("whole"));
    ASSERT_EQ(expected.size(), kLines);
    EXPECT_EQ(sorted_lines(together), expected);
    ASSERT_EQ(merge().code, 0);
    EXPECT_EQ(sorted_lines(content("merged")), expected);
    EXPECT_EQ(write("merged", {"--resume"}).code, 5) << "the merged output is that of a run of the whole";
    EXPECT_EQ(sorted_lines(content("merged")), expected);
}

TEST_F(Parts, InOrderMergeToTheOrderOfTheInput) {
    const auto expect_merged = [&](const Words& more) {
        const Words replace = more + Words{"--overwrite"};
        ASSERT_EQ(write("whole", replace).code, 5);
        write_parts(replace);
        const Ending merged = merge({"--overwrite"});
        EXPECT_EQ(merged.code, 0) << merged.err;
        EXPECT_EQ(content("merged"), content("whole"));
    };
    expect_merged({"--ordered", "--n", "2"});
    put_input(1);
    expect_merged({"--output-format", "txt"});
}

TEST_F(Parts, TakeTurnsLineByLine) {
    const Words ordered{"--ordered", "--output-format", "openai"};  // a line each
    ASSERT_EQ(write("whole", ordered).code, 5);
    write_parts(ordered);
    const std::vector<std::string> whole = lines_of(content("whole"));
    std::vector<std::string> expected;
    for (int part = 1; part <= kParts; ++part) {
        expected.clear();
        for (std::size_t k = 0; k < whole.size(); ++k) {
            if (static_cast<int>(k) % kParts == part - 1) expected.push_back(whole[k]);
        }
        EXPECT_EQ(lines_of(content(part_name(part))), expected) << part;
    }
}

TEST_F(Parts, ThatAreNotFinishedAreNamed) {
    write_parts({});
    const Words second{"--partition", "2/3"};  // it has the error record of the repeated id
    ASSERT_EQ(write(part_name(2), second + Words{"--overwrite", "--max-errors", "1"}).code, 4);
    const Ending refused = merge();
    EXPECT_EQ(refused.code, 4);
    EXPECT_THAT(refused.err, AllOf(HasSubstr(path(part_name(2))), HasSubstr("--resume"),
                                   Not(HasSubstr(path(part_name(1))))));
    EXPECT_FALSE(exists("merged"));
    EXPECT_EQ(write(part_name(2), {"--partition", "1/3", "--resume"}).code, 2) << "another part's output";
    EXPECT_EQ(write(part_name(2), second + Words{"--resume"}).code, 5);
    EXPECT_EQ(merge().code, 0);
    EXPECT_EQ(lines_of(content("merged")).size(), kLines);
}

}  // namespace
}  // namespace sluice::test
