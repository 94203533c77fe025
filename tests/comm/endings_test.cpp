// The exit code and the messages of a whole job, as a shell sees them. A hang is ctest's to end.
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace sluice::test {
namespace {

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

class Endings : public testing::TestWithParam<int> {
protected:
    static End end(const std::string& ending) {
        const std::string program = std::string(SLUICE_ENDINGS) + " " + ending;
        return GetParam() == 0
                   ? run(program)
                   : run(std::string(SLUICE_MPIRUN) + " -n " + std::to_string(GetParam()) + " " + program);
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

TEST_P(Endings, Abort) { EXPECT_EQ(end("abort").code, 7); }

TEST_P(Endings, AnErrorOfOneRankEndsAll) {
    const End job = end("lone");
    EXPECT_EQ(job.code, 4) << job.output;
    EXPECT_EQ(occurrences(job.output, "this rank's disk is full"), 1) << job.output;
    EXPECT_THAT(job.output,
                HasSubstr(GetParam() == 3 ? "rank 2 of 3: this rank's disk" : "error: this rank's disk"));
}

TEST_P(Endings, AnAgreedErrorIsSaidOnce) {
    const End job = end("agreed");
    EXPECT_EQ(job.code, 3) << job.output;
    EXPECT_EQ(occurrences(job.output, "the slice is torn"), 1) << job.output;
    EXPECT_THAT(job.output, Not(HasSubstr("MPI_ABORT")));
}

TEST_P(Endings, AnExceptionThatNobodyCatchesEndsAll) { EXPECT_NE(end("unwind").code, 0); }

}  // namespace
}  // namespace sluice::test
