// The exit code and the messages of a whole job, as a shell sees them. A hang is ctest's to end.
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace sluice::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

struct End {
    int code;
    std::string output;
};

End run(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {-1, "popen failed"};
    End end{-1, ""};
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
        end.output.append(buffer.data(), count);
    const int status = pclose(pipe);
    end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
    return end;
}

int occurrences(const std::string& text, const std::string& word) {
    int count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

End run_ranks(int ranks, const std::string& ending) {
    const std::string program = std::string(SLUICE_ENDINGS) + " " + ending;
    return run(std::string(SLUICE_MPIRUN) + " -n " + std::to_string(ranks) + " " + program);
}

class Endings : public testing::TestWithParam<int> {
protected:
    static End end(const std::string& ending) {
        return GetParam() == 0 ? run(std::string(SLUICE_ENDINGS) + " " + ending)
                               : run_ranks(GetParam(), ending);
    }
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Endings, testing::Values(0, 1, 3), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(Endings, Complete) {
    const End job = end("well");
    EXPECT_EQ(job.code, 0) << job.output;
    EXPECT_EQ(job.output, "");
}

TEST_P(Endings, Stopped) { EXPECT_EQ(end("stopped").code, 75); }

TEST_P(Endings, Abort) {
    const End job = end("abort");
    EXPECT_EQ(job.code, 7);
    EXPECT_THAT(job.output, Not(HasSubstr("died")));
}

TEST_P(Endings, AnErrorOfOneRankEndsAll) {
    const End job = end("lone");
    EXPECT_EQ(job.code, 4) << job.output;
    EXPECT_EQ(occurrences(job.output, "this rank's disk is full"), 1) << job.output;
    EXPECT_THAT(job.output,
                HasSubstr(GetParam() == 3 ? "rank 2 of 3: this rank's disk" : "error: this rank's disk"));
    EXPECT_THAT(job.output, Not(HasSubstr("died")));
}

TEST_P(Endings, AnAgreedErrorIsSaidOnce) {
    const End job = end("agreed");
    EXPECT_EQ(job.code, 3) << job.output;
    EXPECT_EQ(occurrences(job.output, "the slice is torn"), 1) << job.output;
    EXPECT_THAT(job.output, Not(HasSubstr("MPI_ABORT")));
}

TEST_P(Endings, AnExceptionThatNobodyCatchesEndsAll) { EXPECT_NE(end("unwind").code, 0); }

// Three ranks, of which one goes wrong.
class HeartbeatEndings : public testing::Test {
protected:
    void SetUp() override {
        if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    }
    static void expect_error(const std::string& ending, const std::string& message) {
        const End job = run_ranks(3, ending);
        EXPECT_NE(job.code, 0);
        EXPECT_THAT(job.output, ContainsRegex("sluice: error: " + message));
        EXPECT_EQ(occurrences(job.output, "sluice: error: "), 1) << job.output;
    }
};

const std::string kLast = "rank 2 of 3 .host [^ ]+, pid [0-9]+. ";
const std::string kFirst = "rank 0 of 3 .host [^ ]+, pid [0-9]+. ";

// Whatever the limit.
TEST_F(HeartbeatEndings, ARankDies) { expect_error("dies", kLast + "died"); }
TEST_F(HeartbeatEndings, ARankDiesWaiting) { expect_error("dies-waiting", kLast + "died"); }
TEST_F(HeartbeatEndings, RankZeroDies) { expect_error("first-dies", kFirst + "died"); }

TEST_F(HeartbeatEndings, ARankIsStopped) { expect_error("stops 2", kLast + "is silent since [23] s"); }
TEST_F(HeartbeatEndings, RankZeroIsStopped) {
    expect_error("first-stops 2", kFirst + "is silent since [23] s");
}

TEST_F(HeartbeatEndings, ARankHangs) {
    expect_error("hangs 1", kLast + "hangs: in step 17, computing, for [12] s; ranks 0, 1 in barrier");
}

// The others' devices are linked, and wait for its.
TEST_F(HeartbeatEndings, ARankHangsBeforeSumsOfDevices) {
    for (const char* ending : {"hangs-summing 1", "hangs-queueing 1", "hangs-replaying 1"}) {
        expect_error(
            ending, kLast + "hangs: in step 17, computing, for [12] s; ranks 0, 1 in device sums .number 1.");
    }
}

// Whatever the limit, or without one.
TEST_F(HeartbeatEndings, ATransportBreaks) {
    for (const char* ending : {"breaks", "breaks 0"}) expect_error(ending, "a link broke");
}

TEST_F(HeartbeatEndings, ARankDisagrees) {
    expect_error("disagrees 1",
                 "the ranks disagree: ranks 0, 1 in barrier .number [0-9]+., rank 2 in broadcast .number "
                 "[0-9]+, 8 byte");
}

TEST_F(HeartbeatEndings, ARankLeavesTheOthersWaiting) {
    expect_error("leaves 1", "rank 2 ended, but others wait: ranks 0, 1 in barrier");
}

// Longer than the limit, and no hang.
TEST_F(HeartbeatEndings, QuietInputAndSlowWorkAreNoHang) {
    for (const char* ending : {"quiet 1", "slow 1"}) {
        const End job = run_ranks(3, ending);
        EXPECT_EQ(job.code, 0) << job.output;
        EXPECT_EQ(job.output, "");
    }
}

TEST_F(HeartbeatEndings, NoLimitNoHeartbeat) {
    const End job = run_ranks(3, "dies 0");
    EXPECT_NE(job.code, 0);
    EXPECT_THAT(job.output, Not(HasSubstr("sluice:")));
}

}  // namespace
}  // namespace sluice::test
