// Whatever stops a run, --resume completes the file to the very lines of an undisturbed run.
#include "jobs/job.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kPrompts = 60;

class ResumeTest : public JobTest {
protected:
    void SetUp() override {
        // Every kind of line that is answered: also by an error, and one that repeats an id.
        std::string prompts = mixed_prompts(kPrompts);
        prompts += "{\"id\":\"r2\",\"prompt\":\"the same id\"}\nno json\n{\"prompt\":\"caf\xC3\"}\n";
        folder_.put("in.jsonl", prompts);
    }

    // Slow enough to be caught in the middle.
    Words words(const std::string& output) const {
        return files("v3", "in.jsonl", output) +
               Words{"--max-new-tokens", "24", "--max-batch", "6", "--return-tokens", "--logprobs", "2"};
    }
    std::vector<std::string> undisturbed() const {
        const Ending ending = run(words("whole.jsonl"));
        EXPECT_EQ(ending.code, 5) << ending.err;
        const std::vector<std::string> lines = sorted_lines(content("whole.jsonl"));
        EXPECT_EQ(lines.size(), kPrompts + 3U);
        return lines;
    }
    std::string output() const { return path("out.jsonl"); }
    std::uintmax_t size() const { return exists("out.jsonl") ? std::filesystem::file_size(output()) : 0; }
    Ending resume(int ranks) const { return run(words("out.jsonl") + Words{"--resume"}, ranks); }
    void survives_kills(int ranks, int usual) const;
    void expect_whole(const std::vector<std::string>& expected) const {
        EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
    }
};

bool runs(pid_t pid) {  // a zombie does not
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name = text.rfind(") ");
    return name != std::string::npos && text[name + 2] != 'Z';
}

// Kills all of the job, as the loss of a machine would; or, under mpirun, mpirun or one of the ranks, and
// waits for what this does to the others.
void kill_some(Process& process, std::mt19937& random) {
    const std::vector<pid_t> tree = process.tree();
    const std::size_t choice = random() % (2 * std::max<std::size_t>(tree.size(), 1));
    if (tree.size() < 2 || choice >= tree.size()) {
        process.kill_tree();
        return;
    }
    ::kill(tree[choice], SIGKILL);
    EXPECT_FALSE(process.wait(30).timed_out);
    for (int tries = 0; tries < 300 && std::ranges::any_of(tree, runs); ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(std::ranges::any_of(tree, runs)) << "ranks outlive the job";
}

// SLUICE_KILLS=200 in the environment takes longer, and proves more.
void ResumeTest::survives_kills(int ranks, int usual) const {
    const char* wanted = std::getenv("SLUICE_KILLS");
    std::mt19937 random(wanted == nullptr ? 7 : std::random_device()());
    const std::vector<std::string> expected = undisturbed();
    const auto whole = std::filesystem::file_size(path("whole.jsonl"));
    const int kills = wanted == nullptr ? usual : std::atoi(wanted);
    int caught = 0;
    for (int kill = 0; kill < kills;) {
        std::filesystem::remove(output());
        for (; kill < kills && size() < whole; ++kill) {
            const auto process = start(words("out.jsonl") + Words{"--resume"}, ranks);
            if (kill % 4 == 3) {  // at any time: while it starts, reads weights, or works
                std::this_thread::sleep_for(std::chrono::milliseconds(random() % 600));
            } else if (grows_to(*process, output(), size() + 1 + random() % (whole / 8))) {
                ++caught;
            }
            kill_some(*process, random);
        }
        const Ending end = resume(ranks);
        EXPECT_EQ(end.code, 5) << end.err;
        expect_whole(expected);
    }
    EXPECT_GE(caught, kills / 4) << "too few kills fell into the work to tell anything";
    const Ending again = resume(ranks);
    EXPECT_EQ(again.code, 5) << again.err;
    expect_whole(expected);
}

// A limit on the size of files stands for a disk without room.
TEST_F(ResumeTest, AfterTheDiskWasFull) {
    const std::vector<std::string> expected = undisturbed();
    Words limited{"sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"};
    const Ending full = Process(limited + command(words("out.jsonl"), 0), folder_.path()).wait();
    EXPECT_EQ(full.code, 4) << full.err;
    EXPECT_THAT(full.err, AllOf(HasSubstr("out.jsonl"), HasSubstr("File too large"), HasSubstr("--resume")));
    const auto kept = lines_of(content("out.jsonl"));
    EXPECT_GT(kept.size(), 0U);
    EXPECT_LT(kept.size(), expected.size());
    for (const std::string& line : kept) EXPECT_TRUE(OrderedJson::accept(line)) << line;
    EXPECT_EQ(resume(0).code, 5);
    expect_whole(expected);
}

// Prompts from a program that has nothing to say for now: what came is answered, and a stop still stops.
TEST_F(ResumeTest, WhileTheInputIsQuiet) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::fstream writer(pipe, std::ios::in | std::ios::out);  // both: opening waits for nobody
    writer << "Hark\nHist\n" << std::flush;
    const auto process =
        start(files("v3", "pipe", "out.jsonl") + Words{"--prompt-format", "txt", "--max-new-tokens", "4"});
    EXPECT_TRUE(grows_to(*process, output(), 1));
    process->signal(SIGTERM);
    const Ending ending = process->wait(20);
    EXPECT_FALSE(ending.timed_out);
    EXPECT_EQ(ending.code, 75) << ending.err;
    EXPECT_GE(lines_of(content("out.jsonl")).size(), 1U);
}

// A lost rank must not leave the others waiting for it.
TEST_F(ResumeTest, AfterTheLossOfOneRank) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    const std::vector<std::string> expected = undisturbed();
    for (const std::size_t lost : {0U, 1U}) {
        std::filesystem::remove(output());
        const auto process = start(words("out.jsonl"), 2);
        ASSERT_TRUE(grows_to(*process, output(), 1)) << process->wait().err;
        const std::vector<pid_t> tree = process->tree();
        ASSERT_EQ(tree.size(), 3U) << "mpirun and two ranks";
        ::kill(tree[1 + lost], SIGKILL);
        const Ending ending = process->wait(30);
        EXPECT_FALSE(ending.timed_out);
        EXPECT_NE(ending.code, 0) << ending.err;
        const Ending end = resume(2);
        EXPECT_EQ(end.code, 5) << end.err;
        expect_whole(expected);
    }
}

class ExactlyOnce : public ResumeTest, public testing::WithParamInterface<int> {
protected:
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        ResumeTest::SetUp();
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, ExactlyOnce, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(ExactlyOnce, AfterKillsAtAnyMoment) { survives_kills(GetParam(), GetParam() == 0 ? 16 : 7); }

TEST_F(ResumeTest, AfterKillsOfFourRanks) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    survives_kills(4, 4);
}

TEST_P(ExactlyOnce, AfterTheFileWasCutAnywhere) {
    const std::vector<std::string> expected = undisturbed();
    std::filesystem::copy_file(path("whole.jsonl.run.json"), path("out.jsonl.run.json"));
    const std::string whole = content("whole.jsonl");
    const std::size_t border = whole.find('\n', whole.size() / 2);
    std::vector<std::size_t> cuts{border - 1, 0, border + 1, 1, border, border + 2, whole.size() - 1};
    if (GetParam() > 0) cuts.resize(2);
    for (const std::size_t kept : cuts) {
        folder_.put("out.jsonl", whole.substr(0, kept));
        const Ending ending = resume(GetParam());
        EXPECT_EQ(ending.code, 5) << ending.err;
        expect_whole(expected);
        // What was whole before stays where it was.
        const std::size_t lines = kept == 0 ? 0 : whole.rfind('\n', kept - 1) + 1;  // npos + 1 is 0
        EXPECT_EQ(content("out.jsonl").substr(0, lines), whole.substr(0, lines)) << kept;
    }
}

TEST_P(ExactlyOnce, AfterAStopBySignal) {
    const std::vector<std::string> expected = undisturbed();
    // mpirun forwards these two; it ends its ranks itself on the others.
    const std::vector<int> signals = GetParam() == 0 ? std::vector<int>{SIGTERM, SIGINT, SIGUSR1, SIGUSR2}
                                                     : std::vector<int>{SIGUSR1, SIGUSR2};
    for (const int signal : signals) {
        std::filesystem::remove(output());
        const auto process = start(words("out.jsonl"), GetParam());
        ASSERT_TRUE(grows_to(*process, output(), 1)) << process->wait().err;
        process->signal(signal);
        const Ending ending = process->wait();
        EXPECT_FALSE(ending.timed_out);
        EXPECT_EQ(ending.code, 75) << strsignal(signal) << ": " << ending.err;
        EXPECT_THAT(ending.err, HasSubstr("--resume"));
        const auto done = lines_of(content("out.jsonl"));
        EXPECT_LT(done.size(), expected.size());
        for (const std::string& line : done) EXPECT_TRUE(OrderedJson::accept(line)) << line;
        EXPECT_EQ(resume(GetParam()).code, 5);
        expect_whole(expected);
    }
}

TEST_P(ExactlyOnce, OnAnotherNumberOfRanksAndWithAnotherBatch) {
    const std::vector<std::string> expected = undisturbed();
    const auto process = start(words("out.jsonl"), GetParam());
    ASSERT_TRUE(grows_to(*process, output(), 1)) << process->wait().err;
    process->kill_tree();
    const int other = GetParam() == 0 && SLUICE_HAVE_MPI == 1 ? 4 : 0;
    const Ending ending = run(files("v3", "in.jsonl", "out.jsonl") +
                                  Words{"--max-new-tokens", "24", "--max-batch", "64", "--logprobs", "2",
                                        "--prefill-chunk", "16", "--return-tokens", "--resume"},
                              other);
    EXPECT_EQ(ending.code, 5) << ending.err;
    expect_whole(expected);
}

TEST_P(ExactlyOnce, ResumingIsRefusedWhereTheResultWouldDiffer) {
    undisturbed();
    const std::string before = content("whole.jsonl");
    const auto refused = [&](const Words& command, const Words& said) {
        const Ending ending = run(command + Words{"--resume"}, GetParam());
        EXPECT_EQ(ending.code, 2) << ending.err;
        EXPECT_EQ(occurrences(ending.err, "cannot resume"), 1) << ending.err;
        for (const std::string& word : said) EXPECT_THAT(ending.err, HasSubstr(word));
        EXPECT_EQ(content("whole.jsonl"), before);
    };
    const Words base{"--max-batch", "6", "--return-tokens", "--logprobs", "2"};
    const Words whole = files("v3", "in.jsonl", "whole.jsonl") + base;
    const Words length{"--max-new-tokens", "24"};
    refused(whole + Words{"--max-new-tokens", "25"}, {"max_new_tokens", "24", "25", "--overwrite"});
    if (GetParam() > 0) return;  // rank 0 alone compares
    refused(whole + length + Words{"--temperature", "0.5"}, {"temperature", "0.5"});
    refused(whole + length + Words{"--stop", "x"}, {"stop", "[]", "[\"x\"]"});
    refused(whole + length + Words{"--chat"}, {"chat", "true"});
    refused(files("v3", "in.jsonl", "whole.jsonl") + Words{"--return-tokens", "--logprobs", "3"} + length,
            {"logprobs", "2", "3"});
    refused(whole + length + Words{"--gemm", "fp8"}, {"gemm", "bf16", "fp8"});
    refused(whole + length + Words{"--kv-dtype", "fp8"}, {"kv_dtype", "bfloat16", "float8_e4m3fn"});
    refused(files("v3-bf16", "in.jsonl", "whole.jsonl") + base + length, {"model"});
    std::filesystem::remove(path("whole.jsonl.run.json"));
    refused(whole + length, {"whole.jsonl.run.json", "is missing", "--overwrite"});
}

TEST_P(ExactlyOnce, AnExistingOutputIsNeverTouchedUnasked) {
    folder_.put("out.jsonl", "somebody's work\n");
    const Ending refused = run(words("out.jsonl"), GetParam());
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, AllOf(HasSubstr("out.jsonl"), HasSubstr("--resume"), HasSubstr("--overwrite")));
    EXPECT_EQ(occurrences(refused.err, "exists"), 1) << refused.err;
    EXPECT_EQ(content("out.jsonl"), "somebody's work\n");
    const Ending replaced = run(words("out.jsonl") + Words{"--overwrite"}, GetParam());
    EXPECT_EQ(replaced.code, 5) << replaced.err;
    expect_whole(undisturbed());
    std::ofstream(output(), std::ios::app) << "somebody's work\n" << content("whole.jsonl").substr(0, 9);
    const Ending foreign = resume(GetParam());
    EXPECT_EQ(foreign.code, 4);
    EXPECT_THAT(foreign.err, AllOf(HasSubstr("out.jsonl:64"), HasSubstr("--overwrite")));
}

TEST_P(ExactlyOnce, TwoRunsNeverWriteOneFile) {
    const auto first = start(words("out.jsonl"), GetParam());
    ASSERT_TRUE(grows_to(*first, output(), 1)) << first->wait().err;
    ASSERT_TRUE(first->running());
    first->signal_tree(SIGSTOP);  // it keeps its lock and cannot finish meanwhile
    const Ending second = resume(0);
    first->signal_tree(SIGCONT);
    EXPECT_EQ(second.code, 4) << second.err;
    EXPECT_THAT(second.err, HasSubstr("another run"));
    EXPECT_EQ(first->wait().code, 5);
    expect_whole(undisturbed());
}

}  // namespace
}  // namespace sluice::test
