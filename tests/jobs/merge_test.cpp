// sluice-merge as a user calls it, on parts as runs with --partition leave them.
#include "core/json.hpp"
#include "jobs/process.hpp"
#include "support/scratch_folder.hpp"
#include "text/completion_file.hpp"
#include "text/request_json.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <random>

namespace sluice::test {
namespace {

using testing::HasSubstr;

RunRecord record(int part, int parts, OutputFormat format = OutputFormat::AsAsked, bool ordered = false) {
    RunRecord made;
    made.add_text("model", "fake");
    made.add_json("n", "1");
    made.add_text("output_format", name_of(format));
    made.add_json("ordered", ordered ? "true" : "false");
    made.add_text("partition", fmt::format("{}/{}", part, parts));
    return made;
}

// The lines of one request: one for each of its n completions, but of an API one for all.
std::vector<std::string> lines_of(int request, OutputFormat format, int n) {
    std::vector<Completion> choices;
    for (int index = 0; index < n; ++index) {
        Completion choice;
        choice.id_json = to_json_string(fmt::format("id {}", request));
        choice.text = fmt::format("text {}\n", request);
        choice.index = index;
        choice.n = n;
        choices.push_back(choice);
    }
    if (format == OutputFormat::OpenAi) return {answer_line(choices, format)};
    std::vector<std::string> lines;
    for (const Completion& choice : choices) lines.push_back(answer_line({&choice, 1}, format));
    return lines;
}

class Merge : public testing::Test {
protected:
    std::string path(const std::string& name) const { return (folder_ / name).string(); }
    std::string content(const std::string& name) const { return content_of(folder_ / name); }

    void put_part(const std::string& name, const RunRecord& made, const std::vector<std::string>& lines,
                  bool finished = true) const {
        CompletionFile file({folder_ / name, OutputMode::Overwrite});
        file.begin(made);
        for (const std::string& line : lines) file.write(line);
        finished ? file.finish() : file.close();
    }

    // Parts 1 to `parts` of the input's `requests`, in its order; returns what one run would write.
    std::string put_parts(int parts, int requests, OutputFormat format, bool ordered, unsigned seed) const {
        std::mt19937 random(seed);
        std::vector<std::vector<std::string>> lines(static_cast<std::size_t>(parts));
        std::string whole;
        for (int request = 0; request < requests; ++request) {
            const int n = format == OutputFormat::Txt ? 1 : static_cast<int>(random() % 3) + 1;
            for (const std::string& line : lines_of(request, format, n)) {
                lines[static_cast<std::size_t>(request % parts)].push_back(line);
                whole += line + "\n";
            }
        }
        for (int part = 1; part <= parts; ++part)
            put_part(std::to_string(part), record(part, parts, format, ordered),
                     lines[static_cast<std::size_t>(part - 1)]);
        return whole;
    }

    Ending merge(const std::vector<std::string>& parts, const std::vector<std::string>& options = {}) const {
        std::vector<std::string> words{SLUICE_MERGE, "--output", path("out")};
        words.insert(words.end(), options.begin(), options.end());
        for (const std::string& part : parts) words.push_back(path(part));
        return Process(words, folder_.path()).wait();
    }

    void expect_refusal(const std::vector<std::string>& parts, ExitCode code,
                        const std::vector<std::string>& messages) const {
        const Ending ending = merge(parts);
        EXPECT_EQ(ending.code, static_cast<int>(code)) << ending.err;
        for (const std::string& message : messages) EXPECT_THAT(ending.err, HasSubstr(message));
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out.tmp"));
    }

    const ScratchFolder folder_;
};

TEST_F(Merge, OrderedPartsComeBackInTheOrderOfTheInput) {
    unsigned seed = 0;
    for (const OutputFormat format :
         {OutputFormat::AsAsked, OutputFormat::Jsonl, OutputFormat::OpenAi, OutputFormat::Txt}) {
        for (const int requests : {10, 12}) {
            SCOPED_TRACE(seed);
            const std::string whole = put_parts(3, requests, format, true, ++seed);
            const Ending ending = merge({"2", "3", "1"}, {"--overwrite"});
            EXPECT_EQ(ending.code, 0) << ending.err;
            EXPECT_EQ(content("out"), whole);
        }
    }
}

TEST_F(Merge, OtherPartsFollowEachOther) {
    put_parts(2, 7, OutputFormat::AsAsked, false, 1);
    const Ending ending = merge({"2", "1"});
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(content("out"), content("1") + content("2"));
}

TEST_F(Merge, TheResultIsAFinishedOutput) {
    put_parts(2, 7, OutputFormat::OpenAi, true, 1);
    ASSERT_EQ(merge({"1", "2"}).code, 0);
    RunRecord expected = record(1, 1, OutputFormat::OpenAi, true);
    EXPECT_NO_THROW(require_same_run(folder_ / "out", expected));
    EXPECT_EQ(finished_lines(read_run_record(folder_ / "out")), 7);
    const Ending again = merge({"1", "2"});
    EXPECT_EQ(again.code, static_cast<int>(ExitCode::Usage));
    EXPECT_THAT(again.err, HasSubstr("--overwrite"));
}

TEST_F(Merge, RefusesPartsThatAreNotOneOfEach) {
    put_parts(3, 9, OutputFormat::AsAsked, false, 1);
    expect_refusal({"1", "3"}, ExitCode::Usage, {"part 2 of 3 is missing"});
    expect_refusal({"1", "2"}, ExitCode::Usage, {"part 3 of 3 is missing"});
    put_part("other", record(2, 3), {});
    expect_refusal({"1", "2", "3", "other"}, ExitCode::Usage, {"other", "both part 2 of 3"});
    put_part("other", record(2, 2), {});
    expect_refusal({"1", "other"}, ExitCode::Usage, {"other is part 2 of 2"});
    for (const char* partition : {"", "3", "0/3", "4/3", "1/3x", "x/3", "1/"}) {
        RunRecord bad = record(1, 3);
        bad.values.back().second = to_json_string(partition);
        put_part("other", bad, {});
        expect_refusal({"other", "2", "3"}, ExitCode::Usage, {"other is no part"});
    }
    folder_.put("alone", "");
    expect_refusal({"1", "2", "alone"}, ExitCode::File, {"alone.run.json"});
}

TEST_F(Merge, RefusesOtherSettings) {
    put_parts(2, 4, OutputFormat::AsAsked, false, 1);
    RunRecord other = record(2, 2);
    other.values[0].second = "\"another\"";
    put_part("2", other, {});
    expect_refusal({"1", "2"}, ExitCode::Usage, {"/1 and ", "/2 ", "model: \"fake\" and \"another\""});
}

TEST_F(Merge, RefusesAPartThatIsNotFinishedOrWasChanged) {
    put_parts(2, 8, OutputFormat::AsAsked, false, 1);
    const std::string whole = content("2");
    folder_.put("2", whole.substr(0, whole.size() - 1));
    expect_refusal({"1", "2"}, ExitCode::File, {"2:", "torn", "--resume"});
    folder_.put("2", whole.substr(0, whole.substr(0, whole.size() - 1).rfind('\n') + 1));
    expect_refusal({"1", "2"}, ExitCode::File, {"lines, and its record says"});
    folder_.put("2", "{}\n" + whole);
    expect_refusal({"1", "2"}, ExitCode::File, {"2:1: not a completion"});
    put_part("2", record(2, 2), {}, false);
    expect_refusal({"1", "2"}, ExitCode::File, {"2 is not finished", "--resume"});
}

TEST_F(Merge, RefusesAnIdThatIsAnsweredTwice) {
    put_part("1", record(1, 2), lines_of(5, OutputFormat::Jsonl, 1));
    put_part("2", record(2, 2), lines_of(5, OutputFormat::Jsonl, 1));
    expect_refusal({"1", "2"}, ExitCode::File, {"2:1: the id \"id 5\" is answered twice"});
    const std::string repeated =
        to_json_line(error_record({"id 5", "\"id 5\"", "f:2", {"duplicate_id", "f:2: an earlier line"}}));
    put_part("2", record(2, 2), {repeated});
    EXPECT_EQ(merge({"1", "2"}).code, 0);
}

TEST_F(Merge, RefusesPartsThatDoNotInterleave) {
    put_parts(2, 8, OutputFormat::Txt, true, 1);
    put_part("2", record(2, 2, OutputFormat::Txt, true), {"a", "b"});
    expect_refusal({"1", "2"}, ExitCode::File, {"2 ends before the input's order comes to", "1:4"});
}

TEST_F(Merge, RefusesTxtOfSeveralCompletionsARequest) {
    for (const int part : {1, 2}) {
        RunRecord made = record(part, 2, OutputFormat::Txt, true);
        made.values[1].second = "2";
        put_part(std::to_string(part), made, {"a", "b"});
    }
    expect_refusal({"1", "2"}, ExitCode::Usage, {"1 is txt with more than one line a request", "jsonl"});
}

TEST_F(Merge, LeavesAnOutputAloneThatARunIsWriting) {
    put_parts(2, 4, OutputFormat::AsAsked, false, 1);
    CompletionFile file({folder_ / "out"});
    file.begin(record(1, 1));
    file.write("a line");
    const Ending ending = merge({"1", "2"}, {"--overwrite"});
    EXPECT_EQ(ending.code, static_cast<int>(ExitCode::File)) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("another run"));
    EXPECT_EQ(content("out"), "a line\n");
    EXPECT_TRUE(std::filesystem::exists(run_record_path(folder_ / "out")));
}

TEST_F(Merge, WithoutRoomLeavesTheOldOutputWithItsRecord) {
    put_parts(2, 40, OutputFormat::AsAsked, false, 1);
    put_part("out", record(1, 1), {"a line"}, false);
    folder_.put("out.partial", "partial");
    const std::string old_record = content("out.run.json");
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit small = before;
    small.rlim_cur = 1000;
    std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const Ending ending = merge({"1", "2"}, {"--overwrite"});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(ending.code, static_cast<int>(ExitCode::File));
    EXPECT_THAT(ending.err, HasSubstr("File too large"));
    EXPECT_EQ(content("out"), "a line\n");
    EXPECT_EQ(content("out.run.json"), old_record);
    EXPECT_EQ(content("out.partial"), "partial");
    EXPECT_EQ(merge({"1", "2"}, {"--overwrite"}).code, 0);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.partial"));
}

TEST_F(Merge, NeverWritesAPart) {
    put_parts(2, 4, OutputFormat::AsAsked, false, 1);
    std::filesystem::create_symlink("1", folder_ / "out");
    const Ending ending = merge({"1", "2"}, {"--overwrite"});
    EXPECT_EQ(ending.code, static_cast<int>(ExitCode::Usage)) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("is a part, too"));
}

}  // namespace
}  // namespace sluice::test
