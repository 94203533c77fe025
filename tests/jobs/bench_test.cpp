// sluice-bench as a user runs it: what it reports, not how fast anything is.
#include "backend/devices.hpp"
#include "jobs/job.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Bench : public JobTest, public testing::WithParamInterface<int> {
protected:
    Bench() { program_ = SLUICE_BENCH; }
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    }
    // As little as shows everything.
    Words small(const Words& more = {}) const {
        return Words{"--model",         checkpoint("v3").string(),
                     "--stream-memory", "4MiB",
                     "--repeats",       "2",
                     "--max-seconds",   "600",
                     "--prefill",       "32,600",
                     "--batch",         "1,3",
                     "--context",       "70",
                     "--steps",         "2",
                     "--job-requests",  "4"} +
               more;
    }
    OrderedJson report(const Words& words) const {
        const Ending ending = run(words + Words{"--json", path("bench.json")}, GetParam());
        EXPECT_EQ(ending.code, 0) << ending.err;
        return OrderedJson::parse(content("bench.json"));
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Bench, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

void expect_sound(const OrderedJson& samples, int repeats) {
    EXPECT_EQ(samples["repeats"], repeats);
    EXPECT_GT(samples["min"], 0);
    EXPECT_LE(samples["min"], samples["median"]);
    EXPECT_LE(samples["median"], samples["max"]);
}

// The figure agrees with itself. With two repeats, the median is their mean.
void expect_sound(const OrderedJson& figure) {
    SCOPED_TRACE(figure.dump());
    expect_sound(figure["seconds"], 2);
    const double seconds = figure["seconds"]["median"];
    for (const char* each : {"floor_seconds", "percent_of_roofline"}) expect_sound(figure[each], 2);
    for (const char* each : {"bytes_per_second", "flops_per_second"})
        expect_sound(figure["ceilings"][each], 2);
    const OrderedJson &floor = figure["floor_seconds"], &share = figure["percent_of_roofline"];
    const double fastest = figure["seconds"]["min"], slowest = figure["seconds"]["max"];
    EXPECT_LE(share["max"], 100 * floor["max"].get<double>() / fastest);
    EXPECT_GE(share["min"], 100 * floor["min"].get<double>() / slowest);
    EXPECT_GT(figure["bytes"], 0);
    EXPECT_GT(figure["flops"], 0);
    EXPECT_DOUBLE_EQ(figure["tokens_per_second"].get<double>(), figure["tokens"].get<double>() / seconds);
    const OrderedJson& breakdown = figure["breakdown"];
    double sum = breakdown["rest_seconds"].get<double>() + breakdown["communication_seconds"].get<double>();
    for (const char* op : {"attention", "product", "expert_product", "seam", "embed"})
        EXPECT_GT(breakdown["operations"][op]["seconds"], 0) << op;
    for (const auto& [op, total] : breakdown["operations"].items()) sum += total["seconds"].get<double>();
    EXPECT_NEAR(sum, seconds, 1e-9 + 1e-6 * seconds);
    EXPECT_EQ(breakdown["operations"]["seam"]["calls"], 2 * 4 * figure["steps"].get<int>())
        << "two in each of 4 layers";
}

TEST_P(Bench, MeasuresEverything) {
    const OrderedJson all = report(small({"--threads", "1", "--job-prefix", "128"}));
    EXPECT_EQ(all["checkpoint"]["name"], "v3");
    EXPECT_GT(all["checkpoint"]["parameters"], all["checkpoint"]["active_parameters"]);
    ASSERT_EQ(all["runs"].size(), 1U);
    const OrderedJson& run = all["runs"][0];
    EXPECT_EQ(run["ranks"], std::max(1, GetParam()));
    EXPECT_EQ(run["threads"], 1);
    for (const char* ceiling : {"bytes_per_second", "flops_per_second"})
        expect_sound(run["ceilings"][ceiling], 4);
    expect_sound(run["load"]["seconds"], 2);
    EXPECT_GT(run["load"]["bytes"], 0);
    EXPECT_GT(run["load"]["packed_bytes"], 0);
    for (const char* part : {"prefill", "decode", "job"})
        for (const OrderedJson& figure : run[part]) expect_sound(figure);

    ASSERT_EQ(run["prefill"].size(), 2U);
    EXPECT_EQ(run["prefill"][0]["prompts"], 16) << "as many as fill a step";
    EXPECT_EQ(run["prefill"][0]["steps"], 1);
    EXPECT_EQ(run["prefill"][0]["tokens"], 512);
    EXPECT_EQ(run["prefill"][1]["steps"], 2) << "512 tokens, and 88";
    ASSERT_EQ(run["decode"].size(), 2U);
    EXPECT_EQ(run["decode"][1]["batch"], 3);
    EXPECT_EQ(run["decode"][1]["context"], 70);
    EXPECT_EQ(run["decode"][1]["tokens"], 6);

    const OrderedJson& jobs = run["job"];
    ASSERT_EQ(jobs.size(), 3U);
    EXPECT_EQ(jobs[1]["tokens"], jobs[0]["tokens"].get<int>() + 4 * 128);
    EXPECT_EQ(jobs[2]["tokens"], jobs[1]["tokens"]);
    EXPECT_LT(jobs[1]["flops"], jobs[2]["flops"]) << "what is shared is computed once";
}

TEST_P(Bench, MeasuresAGpu) {
    if (const std::string missing = cuda_obstacle(); !missing.empty()) GTEST_SKIP() << missing;
    const OrderedJson all = report(small({"--device", "cuda", "--threads", "1"}));
    EXPECT_EQ(all["machine"]["level"], cuda_devices().front().name);
    const OrderedJson& run = all["runs"][0];
    for (const char* ceiling : {"bytes_per_second", "flops_per_second"})
        expect_sound(run["ceilings"][ceiling], 4);
    for (const char* part : {"prefill", "decode", "job"})
        for (const OrderedJson& figure : run[part]) expect_sound(figure);
}

TEST_P(Bench, PrintsATable) {
    const Ending ending = run(small({"--threads", "1", "--log-level", "error"}), GetParam());
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(ending.err, "");
    for (const char* word :
         {"v3: deepseek_v3", "GB/s", "tokens/s", "% roofline", "prefill, length", "attention"})
        EXPECT_THAT(ending.out, HasSubstr(word));
    EXPECT_EQ(occurrences(ending.out, "decode    batch"), 1) << "of one rank";
}

class BenchAlone : public Bench {};
INSTANTIATE_TEST_SUITE_P(Ranks, BenchAlone, testing::Values(0), [](const auto&) { return "alone"; });

TEST_P(BenchAlone, RunsEverythingForEachNumberOfThreads) {
    const OrderedJson all = report(small({"--threads", "1,2", "--only", "decode"}));
    ASSERT_EQ(all["runs"].size(), 2U);
    for (int threads : {1, 2}) {
        const OrderedJson& run = all["runs"][static_cast<std::size_t>(threads) - 1];
        EXPECT_EQ(run["threads"], threads);
        EXPECT_EQ(run["decode"].size(), 2U);
        EXPECT_TRUE(run["prefill"].empty());
        EXPECT_TRUE(run["job"].empty());
    }
}

TEST_P(BenchAlone, SaysWhatCannotBeMeasured) {
    const OrderedJson all = report(small({"--only", "decode", "--context", "99999"}));
    const OrderedJson& decode = all["runs"][0]["decode"];
    ASSERT_EQ(decode.size(), 4U) << "1 and 3 sequences, each of 70 and of 99999 tokens";
    expect_sound(decode[0]);
    EXPECT_THAT(decode[1]["skipped"], HasSubstr("99999 tokens are more than the"));
    EXPECT_FALSE(decode[1].contains("seconds"));
}

// Two pages: what warms up must not take more either.
TEST_P(BenchAlone, StaysWithinASmallCache) {
    const OrderedJson all = report(small({"--only", "prefill,decode", "--max-seq-len", "100", "--kv-memory",
                                          "80KiB", "--prefill", "100", "--context", "128"}));
    const OrderedJson& run = all["runs"][0];
    for (const OrderedJson& figure : run["prefill"])
        EXPECT_THAT(figure["skipped"],
                    figure["length"] == 600 ? HasSubstr("positions") : HasSubstr("more than the 2"));
    expect_sound(run["decode"][0]);
    EXPECT_THAT(run["decode"][1]["skipped"], HasSubstr("positions"));
    EXPECT_THAT(run["decode"][2]["skipped"], HasSubstr("6 pages of KV cache are more than the 2"));
}

TEST_P(BenchAlone, MeasuresLoadingAlone) {
    const OrderedJson run = report(small({"--only", "load"}))["runs"][0];
    expect_sound(run["load"]["seconds"], 2);
    for (const char* part : {"prefill", "decode", "job"}) EXPECT_TRUE(run[part].empty()) << part;
}

// What decoding needs is provided for; the job keeps to what is said of it.
TEST_P(BenchAlone, LargeBatchesChangeNothingElse) {
    const Words limits{"--max-batch", "2", "--max-batch-tokens", "64", "--prefill", "32"};
    const OrderedJson small_ones = report(small(limits))["runs"][0];
    const OrderedJson all = report(small(limits + Words{"--batch", "300"}))["runs"][0];
    EXPECT_EQ(all["decode"].back()["batch"], 300);
    expect_sound(all["decode"].back());
    EXPECT_EQ(all["prefill"][0]["prompts"], 2);
    EXPECT_EQ(all["job"][0]["steps"], small_ones["job"][0]["steps"]);
    expect_sound(report(small({"--only", "decode", "--batch", "300"}))["runs"][0]["decode"].back());
}

TEST_P(BenchAlone, RefusesAReportThatCannotBeWrittenBeforeItMeasures) {
    const Ending ending = run(small({"--json", path("nowhere/bench.json")}));
    EXPECT_EQ(ending.code, 4);
    EXPECT_THAT(ending.err, AllOf(HasSubstr("nowhere/bench.json"), Not(HasSubstr("loaded"))));
    EXPECT_EQ(ending.out, "");
}

TEST_P(BenchAlone, TakesAJobFromAFile) {
    folder_.put("job.jsonl",
                "{\"tokens\": [0, 40, 50], \"max_new_tokens\": 5}\n"
                "{\"tokens\": [0, 60], \"max_new_tokens\": 7}\n");
    const OrderedJson all = report(small({"--only", "job", "--job", path("job.jsonl")}));
    const OrderedJson& job = all["runs"][0]["job"];
    ASSERT_EQ(job.size(), 1U);
    EXPECT_EQ(job[0]["requests"], 2);
    EXPECT_EQ(job[0]["tokens"], 3 + 5 + 2 + 7);
    EXPECT_EQ(job[0]["steps"], 7) << "the prompts, and six tokens after the first";
    folder_.put("job.jsonl", "{\"prompt\": \"a\"}\n");
    const Ending ending = run(small({"--job", path("job.jsonl")}));
    EXPECT_EQ(ending.code, 4);
    EXPECT_THAT(ending.err, AllOf(HasSubstr("job.jsonl:1"), HasSubstr("tokens")));
}

TEST_P(BenchAlone, PrintsJsonInsteadOfTheTableWhereAsked) {
    const Ending ending = run(small({"--only", "decode", "--json", "-"}));
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_TRUE(OrderedJson::accept(ending.out)) << ending.out;
}

TEST_P(BenchAlone, RefusesWhatItDoesNotKnow) {
    for (const Words& words : {Words{"--colour", "red"},
                               {"--only", "save"},
                               {"--stream-memory", "much"},
                               {"--batch", "0"},
                               {"--stream-memory", "0"}}) {
        const Ending ending = run(small(words));
        EXPECT_EQ(ending.code, 2) << words[0] << ": " << ending.err;
        EXPECT_THAT(ending.err, HasSubstr(words[0]));
        EXPECT_EQ(ending.out, "");
    }
}

}  // namespace
}  // namespace sluice::test
