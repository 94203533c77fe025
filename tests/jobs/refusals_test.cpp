// What sluice-generate refuses, alone and on ranks: with the right exit code, in words that say what to do,
// once, and without hanging.
#include "backend/devices.hpp"
#include "checkpoint/sluice_file.hpp"
#include "jobs/job.hpp"
#include "support/synthetic_checkpoint.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void flip_byte(const fs::path& path, std::uint64_t offset) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x10));
}

class RefusalTest : public JobTest {
protected:
    void SetUp() override { folder_.put("in.txt", "First Citizen:\nSpeak, speak.\n"); }

    // The run must end by itself with `code`, and its one error must hold each of `said`.
    void expect_refused_on(int ranks, const Words& words, int code, const Words& said) const {
        const Ending ending = run(words, ranks);
        EXPECT_FALSE(ending.timed_out) << ending.err;
        EXPECT_EQ(ending.code, code) << ending.err;
        for (const std::string& word : said) EXPECT_THAT(ending.err, HasSubstr(word));
        EXPECT_EQ(occurrences(ending.err, "error: "), 1) << ending.err;
        EXPECT_THAT(ending.err, testing::Not(HasSubstr("MPI_ABORT"))) << "the ranks did not end together";
        EXPECT_FALSE(exists("out.jsonl")) << "a refused run leaves no output behind";
    }
};

TEST_F(RefusalTest, RanksThatDoNotShareTheSlices) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    expect_refused_on(3, files("v3", "in.txt", "out.jsonl"), 2,
                      {"4 slices", "3 ranks", "1, 2 or 4", "--slices"});
    // Two key heads make two slices at most.
    for (const char* checkpoint : {"llama", "grok"})
        expect_refused_on(4, files(checkpoint, "in.txt", "out.jsonl"), 2, {"2 slices", "4 ranks", "1 or 2"});
    expect_refused_on(2, files("v3-1-slice", "in.txt", "out.jsonl"), 2, {"1 slices", "2 ranks"});
}

class Refusals : public RefusalTest, public testing::WithParamInterface<int> {
protected:
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        RefusalTest::SetUp();
    }

    void expect_refused(const Words& words, int code, const Words& said) const {
        expect_refused_on(GetParam(), words, code, said);
    }
    Words with_model(const std::string& model) const {
        return {"--model",         model,       "--prompts", path("in.txt"), "--output",
                path("out.jsonl"), "--threads", "1"};
    }
    // A copy of a built checkpoint, to be damaged.
    fs::path copy_of(const std::string& name) const {
        fs::copy(checkpoint(name), folder_ / name);
        return folder_ / name;
    }
    // A checkpoint of the wide model's shape with other weights or another vocabulary, perhaps refused.
    Ending shard(const std::string& config, std::uint64_t seed, const std::string& name) const {
        make_checkpoint(config, seed, folder_ / "source");
        return Process({SLUICE_SHARD, "--input", path("source"), "--output", path(name)}, folder_.path())
            .wait();
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Refusals, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(Refusals, AModelThatIsNotThere) {
    expect_refused(with_model(path("nowhere")), 3, {"nowhere", "sluice-shard"});
    expect_refused(with_model(path("in.txt")), 3, {"in.txt"});
}

TEST_P(Refusals, AModelThatWasNotShardedYet) {
    expect_refused(with_model(std::string(SLUICE_TEST_DATA) + "/models/deepseek-v3-tiny"), 3,
                   {"deepseek-v3-tiny", "common.h5", "sluice-shard --input"});
}

TEST_P(Refusals, ATruncatedSlice) {
    const fs::path model = copy_of("v3");
    const fs::path slice = model / "slice-002-of-004.h5";
    fs::resize_file(slice, fs::file_size(slice) - 5000);
    expect_refused(with_model(model.string()), 3, {"slice-002-of-004.h5"});
    fs::resize_file(slice, 100);
    expect_refused(with_model(model.string()), 3, {"slice-002-of-004.h5"});
}

TEST_P(Refusals, AnAlteredByte) {
    const fs::path model = copy_of("v3");
    const auto damage = [&](const char* file, int slice, const char* tensor) {
        std::uint64_t offset = 0;
        {
            const SluiceFile opened(model / file, slice, 4);
            offset = opened.find(tensor).offset + opened.find(tensor).bytes - 1;
        }
        flip_byte(model / file, offset);
        expect_refused(with_model(model.string()), 3, {file, tensor, "altered", "checksum"});
        flip_byte(model / file, offset);
    };
    damage("slice-003-of-004.h5", 3, "/layers/1/attention/q_b");
    damage("slice-000-of-004.h5", 0, "/layers/2/experts/1/down.scale");
    damage("common.h5", -1, "/layers/3/router");
    const Ending healed = run(with_model(model.string()) + Words{"--max-new-tokens", "1"}, GetParam());
    EXPECT_EQ(healed.code, 0) << healed.err;
}

TEST_P(Refusals, SlicesThatAreMissingRenamedOrOfAnotherCheckpoint) {
    const fs::path model = copy_of("wide");
    const fs::path slice = model / "slice-006-of-008.h5";
    fs::rename(slice, path("away.h5"));
    expect_refused(with_model(model.string()), 3, {"slice-006-of-008.h5", "missing", "8"});
    fs::copy_file(model / "slice-005-of-008.h5", slice);
    expect_refused(with_model(model.string()), 3, {"slice-006-of-008.h5", "slice-005-of-008.h5"});
    const Ending other = shard(wide_config(), 2, "other");
    ASSERT_EQ(other.code, 0) << other.err;
    fs::copy_file(folder_ / "other" / "slice-006-of-008.h5", slice, fs::copy_options::overwrite_existing);
    expect_refused(with_model(model.string()), 3, {"slice-006-of-008.h5", "two checkpoints"});
}

TEST_P(Refusals, ATokenizerWithIdsBeyondTheVocabulary) {
    std::string config = wide_config();
    const std::string key = "\"vocab_size\": ";
    const std::size_t at = config.find(key);
    ASSERT_NE(at, std::string::npos);
    config.replace(at + key.size(), 4, "1024");
    const Ending sharded = shard(config, 1, "small");
    if (sharded.code != 0) {
        EXPECT_EQ(sharded.code, 3) << sharded.err;
        EXPECT_THAT(sharded.err, testing::AllOf(HasSubstr("tokenizer"), HasSubstr("1024")));
        return;
    }
    expect_refused(with_model(path("small")), 3, {"the tokenizer's highest id is 2001", "1023"});
}

TEST_P(Refusals, AnotherNumberOfTensorParallelRanks) {
    const int ranks = std::max(GetParam(), 1);
    const std::string other = std::to_string(ranks * 2);
    expect_refused(files("v3", "in.txt", "out.jsonl") + Words{"--tp", other}, 2,
                   {"--tp " + other, std::to_string(ranks) + " ranks"});
}

// A page: 64 tokens x 4 layers x (64 + 16) values of 2 bytes = 40 KiB; 2048 tokens need 32 of them.
TEST_P(Refusals, AModelThatDoesNotFitInMemory) {
    const Words words = files("v3", "in.txt", "out.jsonl");
    expect_refused(
        words + Words{"--kv-memory", "4096TiB"}, 3,
        {"does not fit in memory", "weights ", "workspace ", "KV cache ", "available", "--kv-memory"});
    expect_refused(words + Words{"--kv-memory", "100B"}, 3,
                   {"1.25 MiB", "0 pages of 40.00 KiB", "--kv-memory", "--max-seq-len"});
    expect_refused(words + Words{"--kv-memory", "1MiB", "--max-seq-len", "2048"}, 3,
                   {"2048 tokens", "1.25 MiB", "25 pages of 40.00 KiB", "--kv-memory", "--max-seq-len"});
}

TEST_P(Refusals, AGpuThatIsNotThere) {
    const std::string missing = cuda_obstacle();
    if (missing.empty()) GTEST_SKIP() << "there is one";
    const Words words = files("v3", "in.txt", "out.jsonl");
    expect_refused(words + Words{"--device", "cuda"}, 2, {"--device cuda", missing});
    const Ending found_none = run(words + Words{"--device", "auto", "--dry-run"}, GetParam());
    EXPECT_EQ(found_none.code, 0) << found_none.err;
    EXPECT_THAT(found_none.err, HasSubstr("computing on the CPU: "));
}

TEST_P(Refusals, LinksOfGpusWithoutGpus) {
    expect_refused(files("v3", "in.txt", "out.jsonl") + Words{"--device", "cpu", "--comm", "nccl"}, 2,
                   {"--comm nccl", "--device cpu"});
}

TEST_P(Refusals, PromptFilesThatCannotBeRead) {
    expect_refused(files("v3", "nowhere.txt", "out.jsonl"), 4, {"nowhere.txt", "No such file"});
    std::filesystem::create_directory(folder_ / "empty");
    expect_refused(files("v3", "empty", "out.jsonl"), 4, {"folder", "empty"});
    expect_refused(files("v3", "none-*.txt", "out.jsonl"), 4, {"none-*.txt"});
}

TEST_P(Refusals, OutputsThatCannotBeWritten) {
    expect_refused(files("v3", "in.txt", "no-such-folder/out.jsonl"), 4, {"no-such-folder", "No such file"});
    expect_refused(files("v3", "in.txt", "."), 4, {"cannot write", "directory"});
    const Words full{"--model",   checkpoint("v3").string(), "--prompts", path("in.txt"), "--output",
                     "/dev/full", "--max-new-tokens",        "3",         "--threads",    "1"};
    expect_refused(full, 4, {"/dev/full", "No space left"});
}

// Every kind of line that cannot be served is answered by its own record, and the others by completions.
TEST_P(Refusals, LinesAreAnsweredByErrorRecords) {
    const std::vector<std::pair<std::string, std::string>> lines{
        {R"({"id": "good", "prompt": "Speak"})", ""},
        {R"({"id": "x", "prompt": )", "bad_json"},
        {R"([1, 2])", "bad_json"},
        {"{\"prompt\": \"caf\xC3\"}", "bad_utf8"},
        {R"({"id": "none"})", "no_prompt"},
        {R"({"id": "two", "prompt": "a", "tokens": [1]})", "two_prompts"},
        {R"({"id": "empty", "prompt": ""})", "empty_prompt"},
        {R"({"id": "no tokens", "tokens": []})", "empty_prompt"},
        {R"({"id": "number", "prompt": 5})", "bad_prompt"},
        {R"({"id": "role", "messages": [{"role": "wizard", "content": "x"}]})", "unknown_role"},
        {R"({"id": "option", "prompt": "a", "temperature": -1})", "bad_option"},
        {R"({"id": "typo", "prompt": "a", "temprature": 1})", "unknown_key"},
        {R"({"id": 1.5, "prompt": "a"})", "bad_id"},
        {R"({"id": "good", "prompt": "again"})", "duplicate_id"},
        {R"({"id": "far", "tokens": [999999]})", "token_out_of_range"},
        {OrderedJson({{"id", "long"}, {"prompt", std::string(4000, 'a')}, {"meta", {1}}}).dump(), "too_long"},
        {R"({"id": "last", "prompt": "Speak"})", ""},
    };
    std::string text;
    for (const auto& [line, code] : lines) text += line + "\n";
    folder_.put("in.jsonl", text);
    const auto all =
        records(files("v3", "in.jsonl", "out.jsonl") + Words{"--max-seq-len", "128", "--max-new-tokens", "4"},
                "out.jsonl", GetParam(), 5);
    ASSERT_EQ(all.size(), lines.size());
    Words expected, found;
    for (const auto& [line, code] : lines) expected.push_back(code);
    for (const OrderedJson& record : all) {
        found.push_back(record.contains("error") ? record["error"]["code"].get<std::string>() : "");
        EXPECT_EQ(record["finish_reason"] == "error", record.contains("error")) << record;
        if (!record.contains("error")) continue;
        EXPECT_FALSE(record["error"]["message"].get<std::string>().empty());
        EXPECT_EQ(record["completion"], "") << record;
    }
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
    EXPECT_THAT(content("out.jsonl"), HasSubstr("in.jsonl:2: "));
    EXPECT_THAT(record_of(all, "long")["error"]["message"].get<std::string>(), HasSubstr("128"));
    EXPECT_EQ(record_of(all, "long")["meta"], OrderedJson({1}));
}

}  // namespace
}  // namespace sluice::test
