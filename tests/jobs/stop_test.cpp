// Runs that stop before their end because they are told to, and what --resume makes of them.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <fstream>

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class StopTest : public JobTest {
protected:
    void SetUp() override { folder_.put("in.jsonl", mixed_prompts(40)); }

    Words words(const Words& more = {}) const {
        return files("v3", "in.jsonl", "out.jsonl") + Words{"--max-new-tokens", "40", "--max-batch", "4"} +
               more;
    }
    std::vector<std::string> undisturbed() const {
        const Ending ending = run(files("v3", "in.jsonl", "whole.jsonl") + Words{"--max-new-tokens", "40"});
        EXPECT_EQ(ending.code, 0) << ending.err;
        return sorted_lines(content("whole.jsonl"));
    }
    void expect_stopped(const Ending& ending, const std::string& why, const std::string& what_to_do) const {
        EXPECT_EQ(ending.code, 75) << ending.err;
        EXPECT_THAT(ending.err, HasSubstr(why));
        EXPECT_THAT(ending.err, HasSubstr(what_to_do));
    }
    void expect_resumes_to(const std::vector<std::string>& expected) const {
        const Ending ending = run(words({"--resume"}));
        EXPECT_EQ(ending.code, 0) << ending.err;
        EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
        EXPECT_FALSE(exists("out.jsonl.partial"));
    }
};

TEST_F(StopTest, AtATimeLimit) {
    const std::vector<std::string> expected = undisturbed();
    expect_stopped(run(words({"--time-limit", "0.000001s"})), "the time limit of 0.0 s is over",
                   "the same command again");
    EXPECT_FALSE(exists("out.jsonl"));
    Ending ending;
    double limit = 0.2;
    do {
        ending = run(words({"--time-limit", std::to_string(limit), "--resume"}));
        ASSERT_TRUE(ending.code == 0 || ending.code == 75) << ending.err;
        limit *= 1.05;  // a busy machine may need longer to begin
        ASSERT_LT(limit, 60) << "the runs must get on, be it by a token";
    } while (ending.code == 75);
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
}

TEST_F(StopTest, BeforeTheSlurmJobEnds) {
    const std::vector<std::string> expected = undisturbed();
    const auto with_end = [&](double seconds, const Words& more) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const double end = std::chrono::duration<double>(now).count() + seconds;
        const Words env{"env", "SLURM_JOB_END_TIME=" + std::to_string(end)};
        return Process(env + command(words(more), 0), folder_.path()).wait();
    };
    expect_stopped(with_end(59, {}), "the Slurm job ends in", "the same command again");
    EXPECT_EQ(with_end(3600, {"--stop-margin", "1h", "--resume"}).code, 75);
    EXPECT_EQ(with_end(59, {"--stop-margin", "1s", "--resume"}).code, 0);
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
    const Words wrong = Words{"env", "SLURM_JOB_END_TIME=soon"} + command(words({"--overwrite"}), 0);
    const Ending refused = Process(wrong, folder_.path()).wait();
    EXPECT_EQ(refused.code, 2) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("SLURM_JOB_END_TIME is 'soon'"));
}

TEST_F(StopTest, WhenAFileIsThere) {
    const std::vector<std::string> expected = undisturbed();
    const auto process = start(words({"--stop-file", path("stop")}));
    ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1)) << process->wait().err;
    folder_.put("stop", "");
    expect_stopped(process->wait(), path("stop") + " is there", "--resume");
    expect_resumes_to(expected);
}

// The tokens of what was on its way are kept: nothing is computed again.
TEST_F(StopTest, KeepsHalfWrittenAnswers) {
    const std::vector<std::string> expected = undisturbed();
    const auto process = start(words());
    ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1)) << process->wait().err;
    process->signal(SIGUSR1);
    expect_stopped(process->wait(), "signal 10 came", "--resume");
    ASSERT_TRUE(exists("out.jsonl.partial"));
    const std::string partial = content("out.jsonl.partial");
    const Ending ending = run(words({"--resume"}));
    EXPECT_THAT(ending.err, HasSubstr("continued"));
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
    EXPECT_FALSE(exists("out.jsonl.partial"));
    // Damaged, it is passed over: computing the tokens again gives the same ones.
    folder_.put("out.jsonl", "");
    folder_.put("out.jsonl.partial", partial.substr(0, partial.size() - 2));
    const Ending again = run(words({"--resume"}));
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.err, HasSubstr("out.jsonl.partial is damaged"));
    EXPECT_EQ(sorted_lines(content("out.jsonl")), expected);
}

TEST_F(StopTest, WhenOneRankAloneIsAsked) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    const std::vector<std::string> expected = undisturbed();
    const auto process = start(words(), 4);
    ASSERT_TRUE(grows_to(*process, path("out.jsonl"), 1)) << process->wait().err;
    const std::vector<pid_t> tree = process->tree();
    ASSERT_EQ(tree.size(), 5U) << "mpirun and four ranks";
    ::kill(tree[3], SIGUSR1);
    expect_stopped(process->wait(), "signal 10 came", "--resume");
    expect_resumes_to(expected);
}

TEST_F(StopTest, AtTooManyErrors) {
    std::string lines;
    for (int i = 0; i < 9; ++i) lines += "no json\n";
    folder_.put("in.jsonl", lines + mixed_prompts(5));
    const Ending ending = run(words({"--max-errors", "3"}));
    EXPECT_EQ(ending.code, 4) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("--max-errors 3"));
    EXPECT_LT(lines_of(content("out.jsonl")).size(), 9U);
    EXPECT_EQ(run(words({"--max-errors", "3", "--resume"})).code, 4);
    EXPECT_EQ(run(words({"--max-errors", "10", "--resume"})).code, 5);
    EXPECT_EQ(lines_of(content("out.jsonl")).size(), 14U);
}

class MetricsTest : public StopTest {};

TEST_F(MetricsTest, TellHowTheRunWent) {
    ASSERT_EQ(run(words({"--metrics", path("run.json")}), SLUICE_HAVE_MPI == 1 ? 2 : 0).code, 0);
    const OrderedJson metrics = OrderedJson::parse(content("run.json"));
    EXPECT_EQ(metrics["state"], "complete");
    EXPECT_EQ(metrics["requests"]["answered"], 40);
    EXPECT_EQ(metrics["requests"]["total"], 40);
    EXPECT_EQ(metrics["requests"]["errors"], 0);
    EXPECT_EQ(metrics["requests"]["equal"], 0);
    std::int64_t tokens = 0;
    for (const std::string& line : lines_of(content("out.jsonl")))
        tokens += OrderedJson::parse(line)["completion_tokens"].get<std::int64_t>();
    EXPECT_EQ(metrics["tokens"]["completion"], tokens);
    EXPECT_GT(metrics["batch"]["sequences"], 1);
    EXPECT_LE(metrics["batch"]["sequences"], 4);
    EXPECT_GT(metrics["rates"]["decode_mean"], 0);
    ASSERT_EQ(metrics["ranks"].size(), SLUICE_HAVE_MPI == 1 ? 2U : 1U);
    for (const OrderedJson& rank : metrics["ranks"]) {
        EXPECT_GT(rank["compute_seconds"], 0);
        EXPECT_GT(rank["load_bytes"], 0);
        EXPECT_TRUE(SLUICE_HAVE_MPI == 0 || rank["communication_seconds"] > 0);
    }
    EXPECT_FALSE(exists("run.json.tmp"));
}

TEST_F(MetricsTest, AreWrittenForPrometheus) {
    ASSERT_EQ(run(words({"--metrics", path("run.prom")})).code, 0);
    const std::string text = content("run.prom");
    EXPECT_THAT(text, HasSubstr("sluice_run_state{state=\"complete\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE sluice_requests_answered_total counter\n"));
    EXPECT_THAT(text, HasSubstr("sluice_rank_load_bytes{rank=\"0\"} "));
    for (const std::string& line : lines_of(text)) {
        if (line.starts_with("# ")) continue;
        EXPECT_THAT(line, testing::MatchesRegex("sluice_[a-z_]+(\\{[a-z]+=\"[a-z0-9]+\"\\})? [-+.0-9e]+"));
    }
}

TEST_F(MetricsTest, ThatCannotBeWrittenCostAWarning) {
    const Ending ending = run(words({"--metrics", path("no-such-folder") + "/run.json"}));
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(occurrences(ending.err, "cannot write the metrics"), 1) << ending.err;
}

}  // namespace
}  // namespace sluice::test
