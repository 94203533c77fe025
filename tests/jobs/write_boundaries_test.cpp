// A run that dies at any moment of what it writes is completed to the very lines of an undisturbed run.
#include "jobs/job.hpp"

#include <algorithm>

namespace sluice::test {
namespace {

class WriteBoundaries : public JobTest {
protected:
    void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
        GTEST_SKIP() << "AddressSanitizer wants to be loaded first";
#endif
        std::filesystem::create_directory(path("out"));
        folder_.put("in.jsonl", mixed_prompts(6) + "no json\n");
    }

    Words words(const Words& more) const {
        return files("v3", "in.jsonl", "out/out.jsonl") +
               Words{"--max-batch", "3", "--sync-every", "0", "--resume"} + more;
    }
    // Dies at one moment of the writing, and is asked to stop at another; 0: at none.
    Ending run_until(long death, long stop, const Words& more) const {
        const Words env{"env",
                        "LD_PRELOAD=" SLUICE_KILL_AT_WRITE,
                        "SLUICE_KILL_FOLDER=" + path("out"),
                        "SLUICE_KILL_LOG=" + path("moments"),
                        "SLUICE_KILL_AT=" + std::to_string(death),
                        "SLUICE_STOP_AT=" + std::to_string(stop)};
        std::filesystem::remove(path("moments"));
        return Process(env + command(words(more), 0), folder_.path()).wait();
    }
    void expect_completed_to(const std::vector<std::string>& expected, const Words& more) const {
        const Ending ending = run(words(more));
        EXPECT_EQ(ending.code, 5) << ending.err;
        EXPECT_EQ(result(), expected) << content("moments");
        EXPECT_FALSE(exists("out/out.jsonl.partial"));
    }
    // The moment before the file's write of that number, from 1.
    long moment_of_write(const std::string& file, int number) const {
        for (const std::string& line : lines_of(content("moments"))) {
            if (line.ends_with("before writing " + file) && --number == 0) return std::stol(line);
        }
        ADD_FAILURE() << "too few writes of " << file << ":\n" << content("moments");
        return 0;
    }
    long moments() const { return std::ranges::count(content("moments"), '\n'); }
    void start_again() const {
        std::filesystem::remove_all(path("out"));
        std::filesystem::create_directory(path("out"));
    }
    std::vector<std::string> result() const { return sorted_lines(content("out/out.jsonl")); }
};

TEST_F(WriteBoundaries, OfAWholeRun) {
    for (const Words& more : {Words{}, Words{"--ordered"}}) {
        const Words mode = Words{"--max-new-tokens", "3"} + more;
        start_again();
        ASSERT_EQ(run_until(0, 0, mode).code, 5);
        const std::vector<std::string> expected = result();
        ASSERT_EQ(expected.size(), 7U);
        const long last = moments();
        ASSERT_GT(last, 14) << content("moments");
        for (long moment = 1; moment <= last; ++moment) {
            start_again();
            EXPECT_EQ(run_until(moment, 0, mode).code, 128 + SIGKILL) << moment;
            expect_completed_to(expected, mode);
        }
    }
}

// The side file of half-written answers is written, used and removed.
TEST_F(WriteBoundaries, OfAStopAndOfTheRunAfterIt) {
    const Words mode{"--max-new-tokens", "6", "--prefill-chunk", "8"};  // they finish one by one
    ASSERT_EQ(run_until(0, 0, mode).code, 5);
    const std::vector<std::string> expected = result();
    const long stop = moment_of_write("out.jsonl", 3);
    start_again();
    ASSERT_EQ(run_until(0, stop, mode).code, 75);
    ASSERT_TRUE(exists("out/out.jsonl.partial")) << content("moments");
    const long last = moments();
    for (long moment = stop + 1; moment <= last; ++moment) {
        start_again();
        EXPECT_EQ(run_until(moment, stop, mode).code, 128 + SIGKILL) << moment;
        expect_completed_to(expected, mode);
    }
    long moment = 0;
    for (Ending second{128 + SIGKILL, false, {}, {}}; second.code == 128 + SIGKILL;) {
        start_again();
        ASSERT_EQ(run_until(0, stop, mode).code, 75);
        second = run_until(++moment, 0, mode);
        EXPECT_TRUE(second.code == 128 + SIGKILL || second.code == 5) << second.err;
        expect_completed_to(expected, mode);
    }
    EXPECT_GT(moment, 10) << content("moments");
}

}  // namespace
}  // namespace sluice::test
