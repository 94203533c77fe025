// The command line of sluice-generate: help, refusals, the options file, the dry run.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Options : public JobTest, public testing::WithParamInterface<int> {
protected:
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        folder_.put("prompts.txt", "First Citizen:\nSpeak, speak.\n");
    }
    Ending run_here(const Words& words) const { return run(words, GetParam()); }
    Words usual() const { return files("v3", "prompts.txt", "out.jsonl"); }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Options, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(Options, HelpIsPrintedOnceAndSucceeds) {
    const Ending help = run_here({"--help"});
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_EQ(help.err, "");
    for (const char* option : {"--model",
                               "--prompts",
                               "--output",
                               "--max-new-tokens",
                               "--temperature",
                               "--top-k",
                               "--top-p",
                               "--min-p",
                               "--repetition-penalty",
                               "--seed",
                               "--n INT",
                               "--stop",
                               "--ignore-eos",
                               "--return-tokens",
                               "--logprobs",
                               "--chat",
                               "--raw",
                               "--chat-format",
                               "--interactive",
                               "deepseek-v2",
                               "deepseek-v3",
                               "llama-2",
                               "llama-3",
                               "mixtral",
                               "chatml",
                               "--system",
                               "--prompt-format",
                               "--field",
                               "--partition",
                               "--ordered",
                               "--output-format",
                               "--resume",
                               "--overwrite",
                               "--sync-every",
                               "--time-limit",
                               "--stop-margin",
                               "--stop-file",
                               "--max-errors",
                               "--tp",
                               "--device",
                               "--comm",
                               "--threads",
                               "--max-batch",
                               "--max-batch-tokens",
                               "--prefill-chunk",
                               "--max-seq-len",
                               "--kv-memory",
                               "--kv-dtype",
                               "--gemm",
                               "--progress",
                               "--metrics",
                               "--heartbeat-limit",
                               "--selftest",
                               "--dry-run",
                               "--config",
                               "--version",
                               "--log-level"})
        EXPECT_THAT(help.out, HasSubstr(option));
    EXPECT_THAT(help.out, HasSubstr("256"));  // a default
    EXPECT_EQ(occurrences(help.out, "--max-new-tokens"), 1);
}

TEST_P(Options, VersionIsPrintedOnce) {
    const Ending version = run_here({"--version"});
    EXPECT_EQ(version.code, 0);
    EXPECT_EQ(version.err, "");
    EXPECT_EQ(lines_of(version.out).size(), 1U) << version.out;
    EXPECT_THAT(version.out, testing::ContainsRegex("^sluice-generate [0-9]+\\.[0-9]+\\.[0-9]+"));
}

struct Refusal {
    Words words;
    std::string once;  // said exactly once
    Words said;
};

TEST_P(Options, WhatIsNoOptionOrNoValueIsAUsageErrorSaidOnce) {
    std::vector<Refusal> refusals{
        {{"--report", "r.html"}, "--report", {}},  // promised, but not built: never silently ignored
        {{"--temperature", "-1"}, "temperature is -1", {"0 (greedy) or more"}},
        {{"--config", path("nowhere.toml")}, "nowhere.toml", {}},
        {{"--seed", "-1"}, "-1 is no whole number", {"--seed", "18446744073709551615"}},
        {{"--seed", "18446744073709551616"}, "18446744073709551616 is no whole number", {"--seed"}},
        {{"--top-p", "1.5"}, "top_p is 1.5", {}},
        {{"--logprobs", "21"}, "logprobs is 21", {"0 (off) to 20"}},
        {{"--max-batch", "-1"}, "--max-batch is -1", {"negative"}},
        {{"--max-batch", "1048577"}, "--max-batch is 1048577", {"at most 1048576"}},
        {{"--max-batch-tokens", "2147483647"}, "--max-batch-tokens is 2147483647", {"at most 1048576"}},
        {{"--max-batch", "9", "--max-batch-tokens", "8"}, "--max-batch-tokens 8", {"--max-batch 9"}},
        {{"--max-seq-len", "999999"}, "--max-seq-len 999999", {"2048"}},
        {{"--kv-memory", "banana"}, "banana", {"--kv-memory", "20GiB"}},
        {{"--n", "0"}, "n is 0", {"1 to 1024"}},
        {{"--partition", "4/3"}, "4/3", {"--partition", "I/N"}},
        {{"--output-format", "csv"}, "csv", {"--output-format", "jsonl", "openai", "txt"}},
        {{"--time-limit", "soon"}, "soon", {"--time-limit"}},
        {{"--gemm", "fp4"}, "fp4", {"--gemm", "{bf16,fp8}"}},
        {{"--kv-dtype", "int3"}, "int3", {"--kv-dtype", "{bf16,f32,fp8}"}},
        {{"--resume", "--overwrite"}, "--overwrite", {"--resume"}},
        {{"--chat", "--raw"}, "--raw", {"--chat"}},
        {{"--chat-format", "alpaca"}, "alpaca", {"--chat-format", "template", "llama-3", "chatml"}},
        {{"--log-level", "loud"}, "loud", {"--log-level", "debug"}},
    };
    if (GetParam() > 0) refusals.resize(3);  // one of each place that refuses
    for (const Refusal& refusal : refusals) {
        const Ending ending = run_here(usual() + refusal.words);
        const std::string shown = testing::PrintToString(refusal.words) + "\n" + ending.err;
        EXPECT_EQ(ending.code, 2) << shown;
        EXPECT_EQ(occurrences(ending.err, refusal.once), 1) << shown;
        for (const std::string& word : refusal.said) EXPECT_THAT(ending.err, HasSubstr(word)) << shown;
        EXPECT_EQ(ending.out, "") << shown;
        EXPECT_FALSE(exists("out.jsonl")) << shown;
    }
}

// The checkpoint's tokenizer knows deepseek-v3's tokens.
TEST_P(Options, TokensOfAChatFormatThatTheTokenizerLacksAreNamedOnce) {
    const Ending foreign = run_here(usual() + Words{"--dry-run", "--chat-format", "chatml"});
    EXPECT_EQ(foreign.code, 0) << foreign.err;
    for (const char* token : {"<|im_start|>", "<|im_end|>"})
        EXPECT_EQ(occurrences(foreign.err, token), 1) << foreign.err;
    const Ending own = run_here(usual() + Words{"--dry-run", "--chat-format", "deepseek-v3"});
    EXPECT_THAT(own.err, Not(HasSubstr("--chat-format"))) << own.err;
}

TEST_P(Options, AResumedRunKeepsItsChatFormat) {
    const Words chat = usual() + Words{"--chat", "--max-new-tokens", "2"};
    ASSERT_EQ(run_here(chat + Words{"--chat-format", "deepseek-v2"}).code, 0);
    const Ending other = run_here(chat + Words{"--chat-format", "deepseek-v3", "--resume"});
    EXPECT_EQ(other.code, 2);
    EXPECT_THAT(other.err,
                AllOf(HasSubstr("chat_format"), HasSubstr("deepseek-v2"), HasSubstr("deepseek-v3")));
    EXPECT_EQ(run_here(chat + Words{"--chat-format", "deepseek-v2", "--resume"}).code, 0);
}

TEST_P(Options, RequiredOptionsAreNamed) {
    for (const char* missing : {"--model", "--prompts", "--output"}) {
        if (GetParam() > 0 && missing != std::string("--model")) continue;
        Words words;
        for (const Words& pair :
             {Words{"--model", checkpoint("v3").string()}, Words{"--prompts", path("prompts.txt")},
              Words{"--output", path("out.jsonl")}})
            if (pair.front() != missing) words = words + pair;
        const Ending ending = run_here(words);
        EXPECT_EQ(ending.code, 2);
        EXPECT_EQ(occurrences(ending.err, missing), 1) << ending.err;
    }
}

TEST_P(Options, ADryRunChecksAndPlansAndWritesNothing) {
    const Ending plan = run_here(usual() + Words{"--dry-run"});
    EXPECT_EQ(plan.code, 0) << plan.err;
    EXPECT_THAT(plan.err, AllOf(HasSubstr("4 layers"), HasSubstr("4 slices"), HasSubstr("weights"),
                                HasSubstr("KV cache")));
    EXPECT_EQ(occurrences(plan.err, "4 slices"), 1) << plan.err;
    EXPECT_FALSE(exists("out.jsonl"));
    EXPECT_FALSE(exists("out.jsonl.run.json"));
    EXPECT_EQ(run_here(usual() + Words{"--dry-run", "--prompts", path("nowhere.txt")}).code, 4);
}

TEST_P(Options, ADryRunLeavesAnExistingOutputAlone) {
    folder_.put("out.jsonl", "precious\n");
    for (const char* mode : {"--overwrite", "--resume"}) {
        run_here(usual() + Words{"--dry-run", mode});
        EXPECT_EQ(content("out.jsonl"), "precious\n");
        EXPECT_FALSE(exists("out.jsonl.run.json"));
    }
}

TEST_P(Options, AnOptionsFileWorksAndTheCommandLineWins) {
    folder_.put("run.toml", "model = \"" + checkpoint("v3").string() + "\"\nprompts = [\"" +
                                path("prompts.txt") + "\"]\noutput = \"" + path("out.jsonl") +
                                "\"\nmax-new-tokens = 5\ntemperature = 0\nreturn-tokens = true\n" +
                                "ignore-eos = true\nthreads = 1\n");
    const std::vector<OrderedJson> five = records({"--config", path("run.toml")}, "out.jsonl", GetParam());
    ASSERT_EQ(five.size(), 2U);
    for (const OrderedJson& record : five) EXPECT_EQ(record.at("tokens").size(), 5U);
    const std::vector<OrderedJson> three = records(
        {"--config", path("run.toml"), "--max-new-tokens", "3", "--overwrite"}, "out.jsonl", GetParam());
    for (const OrderedJson& record : three) EXPECT_EQ(record.at("tokens").size(), 3U);
}

TEST_P(Options, AMisspeltNameInTheOptionsFileIsRefused) {
    folder_.put("run.toml", "temprature = 0\n");
    const Ending ending = run_here(usual() + Words{"--config", path("run.toml")});
    EXPECT_EQ(ending.code, 2) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("temprature"));
    EXPECT_FALSE(exists("out.jsonl"));
}

}  // namespace
}  // namespace sluice::test
