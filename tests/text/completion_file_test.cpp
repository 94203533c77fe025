#include "text/completion_file.hpp"

#include "core/json.hpp"
#include "support/scratch_folder.hpp"
#include "text/partial_answers.hpp"
#include "text/request_json.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

namespace sluice {
namespace {

Completion completion(const std::string& id, std::string text) {
    Completion made;
    made.id = id;
    made.id_json = to_json_string(id);
    made.text = std::move(text);
    made.prompt_tokens = 2;
    made.completion_tokens = 3;
    return made;
}

RunRecord record(const std::string& model = "tiny") {
    RunRecord made;
    made.add_text("model", model);
    return made;
}

constexpr std::string_view kLineA =
    R"({"id":"a","completion":"x","finish_reason":"stop","prompt_tokens":2,"completion_tokens":3})";

// ---- the line ----

TEST(CompletionLine, HasTheFieldsInOrderAndNoAbsentOnes) {
    EXPECT_EQ(to_json_line(completion("a", "x")), kLineA);
    Completion full = completion("", "line\n\"q\" \xE2\x82\xAC \x01");
    full.id_json = "17";
    full.finish_reason = FinishReason::Length;
    full.tokens = std::vector<Token>{4, 5, 6};
    full.meta_json = R"({"z":1.10,"a":null})";
    EXPECT_EQ(to_json_line(full),
              R"({"id":17,"completion":"line\n\"q\" )"
              "\xE2\x82\xAC"
              R"( \u0001","finish_reason":"length","prompt_tokens":2,"completion_tokens":3,)"
              R"("tokens":[4,5,6],"meta":{"z":1.10,"a":null}})");
    full.tokens->clear();
    full.logprobs_json = "[]";
    EXPECT_EQ(Json::parse(to_json_line(full))["tokens"], Json::array());
    EXPECT_NE(to_json_line(full).find(R"("tokens":[],"logprobs":[],"meta")"), std::string::npos);
}

TEST(CompletionLine, AnErrorRecord) {
    const FailedRequest failed{"p.txt:1", "\"p.txt:1\"", "p.txt:1", {"bad_utf8", "say \"why\""}, "[1]"};
    EXPECT_EQ(
        to_json_line(error_record(failed)),
        R"({"id":"p.txt:1","completion":"","finish_reason":"error","prompt_tokens":0,"completion_tokens":0,)"
        R"("error":{"code":"bad_utf8","message":"say \"why\""},"meta":[1]})");
    Request request;
    request.id_json = "3";
    EXPECT_EQ(to_json_line(error_record(request, {"too_long", "m"})),
              R"({"id":3,"completion":"","finish_reason":"error","prompt_tokens":0,"completion_tokens":0,)"
              R"("error":{"code":"too_long","message":"m"}})");
}

TEST(CompletionLine, TextThatIsNotUtf8StaysOneValidLine) {
    const std::string line = to_json_line(completion("a", "x\xC3\n\xFF"));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(Json::parse(line)["completion"], "x\xEF\xBF\xBD\n\xEF\xBF\xBD");
}

// ---- the file ----

TEST(CompletionFile, WritesLinesAndTheRecord) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out", OutputMode::Fresh});
    EXPECT_EQ(file.begin(record()).lines(), 0);
    file.write(to_json_line(completion("a", "x")));
    EXPECT_EQ(content_of(folder / "out"), std::string(kLineA) + "\n");
    file.write(to_json_line(completion("b", "y")));
    file.close();
    EXPECT_EQ(Json::parse(content_of(folder / "out.run.json"))["model"], "tiny");
    const Finished finished = scan_completions(folder / "out");
    EXPECT_EQ(finished.lines(), 2);
    EXPECT_EQ(finished.errors(), 0);
}

TEST(CompletionFile, AnExistingOutputNeedsResumeOrOverwrite) {
    const ScratchFolder folder;
    folder.put("out", "old\n");
    expect_error(
        [&] {
            CompletionFile({folder / "out", OutputMode::Fresh});
        },
        ExitCode::Usage, {"out", "--resume", "--overwrite"});
    EXPECT_EQ(content_of(folder / "out"), "old\n");
}

TEST(CompletionFile, OverwriteEmptiesOnlyWhenTheRunBegins) {
    const ScratchFolder folder;
    folder.put("out", "old\n");
    { const CompletionFile refused({folder / "out", OutputMode::Overwrite}); }
    EXPECT_EQ(content_of(folder / "out"), "old\n");
    CompletionFile file({folder / "out", OutputMode::Overwrite});
    file.begin(record());
    EXPECT_EQ(content_of(folder / "out"), "");
    EXPECT_TRUE(std::filesystem::exists(folder / "out.run.json"));
}

TEST(CompletionFile, ARunThatNeverBeginsLeavesNothing) {
    const ScratchFolder folder;
    for (const auto mode : {OutputMode::Fresh, OutputMode::Resume, OutputMode::Overwrite}) {
        const CompletionFile refused({folder / "out", mode});
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CompletionFile, AFolderThatIsMissingOrNoneIsAnErrorAtOnce) {
    const ScratchFolder folder;
    const auto file = folder.put("file", "");
    for (const auto mode : {OutputMode::Fresh, OutputMode::Resume, OutputMode::Overwrite}) {
        expect_error(
            [&] {
                CompletionFile({folder / "none/out", mode});
            },
            ExitCode::File, {"none/out", "No such file"});
        expect_error(
            [&] {
                CompletionFile({file / "out", mode});
            },
            ExitCode::File, {"file/out", "Not a directory"});
        expect_error([&] { CompletionFile({folder.path(), mode}); }, ExitCode::File, {"Is a directory"});
    }
}

TEST(CompletionFile, TwoRunsCannotWriteOneFile) {
    const ScratchFolder folder;
    {
        CompletionFile first({folder / "out", OutputMode::Fresh});
        first.begin(record());
        for (const auto mode : {OutputMode::Resume, OutputMode::Overwrite})
            expect_error(
                [&] {
                    CompletionFile({folder / "out", mode});
                },
                ExitCode::File, {"out", "another run"});
    }
    EXPECT_NO_THROW(CompletionFile({folder / "out", OutputMode::Resume}));
}

TEST(CompletionFile, StandardOutput) {
    const ScratchFolder folder;
    std::fflush(stdout);
    const int saved = ::dup(STDOUT_FILENO);
    const PosixFile target = open_file(folder / "captured", O_WRONLY | O_CREAT);
    ::dup2(target.fd(), STDOUT_FILENO);
    {
        CompletionFile file({"-", OutputMode::Fresh});
        file.begin(record());
        file.write(to_json_line(completion("a", "x")));
        file.close();
    }
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    EXPECT_EQ(content_of(folder / "captured"), std::string(kLineA) + "\n");
    expect_error(
        [] {
            CompletionFile({"-", OutputMode::Resume});
        },
        ExitCode::Usage, {"standard output", "--resume"});
    EXPECT_FALSE(std::filesystem::exists("-.run.json"));
}

TEST(CompletionFile, AFullDeviceIsNamedWithTheReason) {
    CompletionFile file({"/dev/full", OutputMode::Fresh});
    file.begin(record());
    expect_error([&] { file.write(to_json_line(completion("a", "x"))); }, ExitCode::File,
                 {"/dev/full", "No space left on device"});
    expect_error([&] { file.write(to_json_line(completion("a", "x"))); }, ExitCode::Internal,
                 {"after close or a failure"});
}

// A limit on the size of files makes write(2) take part of a line and then fail, as a full disk does.
TEST(CompletionFile, AFailedLineIsCutOffAndResumeContinues) {
    const ScratchFolder folder;
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const std::string line = std::string(kLineA) + "\n";
    CompletionFile file({folder / "out", OutputMode::Fresh});
    file.begin(record());
    file.write(to_json_line(completion("a", "x")));
    rlimit small = before;
    small.rlim_cur = line.size() + 10;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    expect_error([&] { file.write(to_json_line(completion("b", "y"))); }, ExitCode::File,
                 {"out", "File too large", "--resume"});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(content_of(folder / "out"), line);

    CompletionFile again({folder / "out", OutputMode::Resume});
    EXPECT_EQ(again.begin(record()).lines(), 1);
    again.write(to_json_line(completion("b", "y")));
    again.close();
    EXPECT_EQ(scan_completions(folder / "out").lines(), 2);
}

// ---- the disk ----

// A pipe has no disk: fdatasync fails on it at once.
TEST(OutputSync, AFailureIsToldToTheNextWriter) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const PosixFile read_end(ends[0]), write_end(ends[1]);
    OutputSync sync(write_end.fd(), std::chrono::milliseconds(1));
    EXPECT_EQ(sync.wrote(), 0);
    for (int i = 0; i < 60000 && sync.wrote() == 0; ++i) ::usleep(1000);
    EXPECT_EQ(sync.wrote(), EINVAL);
    EXPECT_EQ(sync.stop(), EINVAL);
}

TEST(OutputSync, LeavesAFileThatNobodyWritesAlone) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const PosixFile read_end(ends[0]), write_end(ends[1]);
    OutputSync sync(write_end.fd(), std::chrono::milliseconds(1));
    ::usleep(20000);
    EXPECT_EQ(sync.stop(), 0);
}

// A wait that overflowed would be over at once.
TEST(OutputSync, WaitsHoweverLongTheIntervalIs) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const PosixFile read_end(ends[0]), write_end(ends[1]);
    OutputSync sync(write_end.fd(), std::chrono::milliseconds::max());
    EXPECT_EQ(sync.wrote(), 0);
    ::usleep(20000);
    EXPECT_EQ(sync.stop(), 0);
}

TEST(CompletionFile, SyncsWithEachLineOrInTheBackground) {
    const ScratchFolder folder;
    for (const double seconds : {0.0, 1.0}) {
        CompletionFile file({folder / "out", OutputMode::Overwrite, OutputFormat::AsAsked, seconds});
        file.begin(record());
        for (int i = 0; i < 100; ++i) file.write(to_json_line(completion(std::to_string(i), "x")));
        file.close();
        EXPECT_EQ(scan_completions(folder / "out").lines(), 100);
    }
}

// ---- the end mark and the partial answers ----

std::optional<std::int64_t> mark_of(const std::filesystem::path& output) {
    return finished_lines(read_run_record(output));
}

TEST(CompletionFile, AFinishedRunSaysSoUntilOneWritesMore) {
    const ScratchFolder folder;
    {
        CompletionFile file({folder / "out"});
        file.begin(record());
        file.write(to_json_line(completion("a", "x")));
        EXPECT_FALSE(mark_of(folder / "out").has_value());
        file.finish();
    }
    EXPECT_EQ(mark_of(folder / "out"), 1);
    {
        CompletionFile idle({folder / "out", OutputMode::Resume});
        EXPECT_EQ(idle.begin(record()).lines(), 1);
        idle.finish();
    }
    EXPECT_EQ(mark_of(folder / "out"), 1);
    CompletionFile more({folder / "out", OutputMode::Resume});
    more.begin(record());
    more.write(to_json_line(completion("b", "y")));
    EXPECT_FALSE(mark_of(folder / "out").has_value());
    more.finish();
    EXPECT_EQ(mark_of(folder / "out"), 2);
}

TEST(CompletionFile, OnlyAResumedRunKeepsPartialAnswers) {
    const ScratchFolder folder;
    PartialAnswers partials;
    partials.keep({7, {4, 5}, {}});
    write_run_record(folder / "out", record());
    folder.put("out", "");
    partials.save(folder / "out");
    {
        CompletionFile file({folder / "out", OutputMode::Resume});
        file.begin(record());
        EXPECT_EQ(file.partials().size(), 1U);
        file.close();
    }
    EXPECT_EQ(PartialAnswers::load(folder / "out").size(), 1U);
    {
        CompletionFile file({folder / "out", OutputMode::Resume});
        expect_error([&] { file.begin(record("other")); }, ExitCode::Usage, {"model"});
    }
    EXPECT_EQ(PartialAnswers::load(folder / "out").size(), 1U);
    CompletionFile file({folder / "out", OutputMode::Overwrite});
    file.begin(record());
    EXPECT_EQ(PartialAnswers::load(folder / "out").size(), 0U);
}

// ---- resuming ----

TEST(CompletionFile, ResumeRefusesAnotherRunAndTouchesNothing) {
    const ScratchFolder folder;
    const std::string torn = std::string(kLineA) + "\n{\"id\":";
    folder.put("out", torn);
    const auto resume = [&](const std::string& model) {
        CompletionFile file({folder / "out", OutputMode::Resume});
        return file.begin(record(model)).lines();
    };
    expect_error([&] { resume("tiny"); }, ExitCode::Usage, {"out.run.json is missing"});
    write_run_record(folder / "out", record("tiny"));
    expect_error([&] { resume("other"); }, ExitCode::Usage, {"model: recorded \"tiny\", now \"other\""});
    EXPECT_EQ(content_of(folder / "out"), torn);
    EXPECT_EQ(resume("tiny"), 1);
    EXPECT_EQ(content_of(folder / "out"), std::string(kLineA) + "\n");
}

TEST(CompletionFile, ResumeOfNothingStartsAFreshRun) {
    const ScratchFolder folder;
    folder.put("empty", "");
    for (const char* name : {"new", "empty"}) {
        CompletionFile file({folder / name, OutputMode::Resume});
        EXPECT_EQ(file.begin(record()).lines(), 0);
        EXPECT_NO_THROW(require_same_run(folder / name, record()));
    }
}

TEST(ScanCompletions, RefusesWhatIsNoCompletionAndNamesTheLine) {
    const ScratchFolder folder;
    const std::string line = std::string(kLineA) + "\n";
    for (const std::string bad :
         {"{\"id\":\"b\",", "", "[1]", "{\"id\":1}", "null",
          "{\"id\":1,\"completion\":\"\",\"finish_reason\":\"error\",\"error\":{\"code\":1}}"}) {
        const std::string text = line + bad + "\n" + line;
        const auto path = folder.put("out", text);
        expect_error([&] { scan_completions(path); }, ExitCode::File, {"out:2:", "not a completion"});
        EXPECT_EQ(content_of(path), text);
    }
}

TEST(ScanCompletions, ALastLineThatIsJsonButNoCompletionIsNotTorn) {
    const ScratchFolder folder;
    const auto path = folder.put("out", std::string(kLineA) + "\n{\"prompt\":\"mine\"}\n");
    expect_error([&] { scan_completions(path); }, ExitCode::File, {"out:2:"});
}

TEST(ScanCompletions, CutsATornLastLine) {
    const ScratchFolder folder;
    const std::string line = std::string(kLineA) + "\n";
    for (const std::string& torn : {std::string("{"), std::string(kLineA), std::string("{\"id\":\"b\",\n"),
                                    std::string(5000, '\0'), std::string("\n")}) {
        const auto path = folder.put("out", line + torn);
        EXPECT_EQ(scan_completions(path).lines(), 1);
        EXPECT_EQ(content_of(path), line);
    }
}

}  // namespace
}  // namespace sluice
