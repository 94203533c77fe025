// A rank that dies or stands still ends the job, and the message says which; nothing else does.
#include "jobs/job.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace sluice::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

// A process that ended may wait as a zombie for a parent that collects none.
bool alive(pid_t pid) {
    const std::string status = text_of("/proc/" + std::to_string(pid) + "/status");
    return !status.empty() && status.find("State:\tZ") == std::string::npos;
}

// Opens the pipe for writing once somebody reads it; -1 when the process ends before.
int open_for_reader(Process& process, const std::string& pipe) {
    for (;;) {
        const int fd = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || !process.running()) return fd;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

class Failures : public JobTest {
protected:
    void SetUp() override {
        if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        folder_.put("in.jsonl", mixed_prompts(60));
    }
    Words words(const std::string& limit) const {
        return files("v3", "in.jsonl", "out.jsonl") +
               Words{"--max-new-tokens", "24", "--max-batch", "6", "--heartbeat-limit", limit};
    }
    // Sends `signal` to one of four ranks in the middle of the run; how the job ends must be as `says`.
    void expect_end(std::size_t rank, int signal, const std::string& limit, const std::string& says) {
        const auto process = start(words(limit), 4);
        ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1)) << process->wait().err;
        const std::vector<pid_t> tree = process->tree();
        ASSERT_EQ(tree.size(), 5U) << "mpirun and four ranks";
        ::kill(tree[1 + rank], signal);
        const Ending ending = process->wait(30);
        EXPECT_FALSE(ending.timed_out);
        EXPECT_NE(ending.code, 0);
        EXPECT_THAT(ending.err, ContainsRegex("error: rank [0-3] of 4 .host [^ ]+, pid " +
                                              std::to_string(tree[1 + rank]) + ". " + says));
        EXPECT_EQ(occurrences(ending.err, "sluice: error:"), 1) << ending.err;
        using Clock = std::chrono::steady_clock;
        const auto limit_of_all = Clock::now() + std::chrono::seconds(20);
        for (const pid_t pid : tree) {
            while (alive(pid) && Clock::now() < limit_of_all)
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            EXPECT_FALSE(alive(pid)) << pid << " is left behind";
        }
    }
};

TEST_F(Failures, ADeadRankIsNamed) {
    expect_end(2, SIGKILL, "300", "died; last heard of [0-9.]+ s before: .*");
}

TEST_F(Failures, ADeadLeaderIsNamed) {
    expect_end(0, SIGKILL, "300", "died; last heard of [0-9.]+ s before: .*");
}

TEST_F(Failures, AStoppedRankIsNamed) { expect_end(1, SIGSTOP, "2", "is silent since [0-9]+ s .*: .*"); }

TEST_F(Failures, AStoppedLeaderIsNamed) { expect_end(0, SIGSTOP, "2", "is silent since [0-9]+ s .*: .*"); }

TEST_F(Failures, AHealthyRunHasNothingToSay) {
    const Ending ending = run(words("4") + Words{"--log-level", "warning"}, 4);
    EXPECT_EQ(ending.code, 0);
    EXPECT_EQ(ending.err, "");
}

// Longer than the limit: a program that has nothing to say for now is no rank that hangs.
TEST_F(Failures, QuietInputIsNoHang) {
    const std::string pipe = path("pipe");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const auto process =
        start(files("v3", "pipe", "out.jsonl") + Words{"--prompt-format", "txt", "--max-new-tokens", "4",
                                                       "--heartbeat-limit", "2", "--log-level", "warning"},
              2);
    const int writer = open_for_reader(*process, pipe);
    ASSERT_EQ(::write(writer, "Hark\n", 5), 5);
    EXPECT_TRUE(grows_to(*process, path("out.jsonl"), 1));
    std::this_thread::sleep_for(std::chrono::seconds(6));
    ASSERT_EQ(::write(writer, "Hist\n", 5), 5);
    ::close(writer);
    const Ending ending = process->wait(30);
    EXPECT_FALSE(ending.timed_out);
    EXPECT_EQ(ending.code, 0);
    EXPECT_EQ(ending.err, "");
    EXPECT_EQ(lines_of(content("out.jsonl")).size(), 2U);
}

// As when the file of --config differs between machines.
TEST_F(Failures, RanksWithDifferentOptionsEndTogether) {
    const Words other{":", "-n", "1"};
    const auto expect_refusal = [&](const Words& second, const std::string& says) {
        Process process(command(words("300"), 1) + other + program(second), folder_.path());
        const Ending ending = process.wait(30);
        EXPECT_FALSE(ending.timed_out);
        EXPECT_EQ(ending.code, 2) << ending.err;
        EXPECT_THAT(ending.err, HasSubstr(says));
        EXPECT_EQ(occurrences(ending.err, "sluice: error:"), 1) << ending.err;
    };
    expect_refusal(words("0"), "; rank 1 has --heartbeat-limit 0, rank 0 300");
    expect_refusal(words("300") + Words{"--config", path("none.toml")}, "; rank 1 ends with \"");
}

TEST_F(Failures, RanksAreFoundByTheProgramsName) {
    const auto process = start(words("300"), 2);
    ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1));
    const std::vector<pid_t> tree = process->tree();
    ASSERT_EQ(tree.size(), 3U) << "mpirun and two ranks";
    EXPECT_EQ(text_of("/proc/" + std::to_string(tree[1]) + "/comm"), "sluice-generate\n");
    process->kill_tree();
}

TEST_F(Failures, TheLimitIsChecked) {
    const Ending ending = run(words("-1"), 2);
    EXPECT_EQ(ending.code, 2);
    EXPECT_THAT(ending.err, HasSubstr("--heartbeat-limit"));
}

}  // namespace
}  // namespace sluice::test
