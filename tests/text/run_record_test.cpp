#include "text/run_record.hpp"

#include "core/json.hpp"
#include "support/scratch_folder.hpp"

namespace sluice {
namespace {

RunRecord sample() {
    RunRecord record;
    record.add_text("model", "deepseek \"v3\"");
    add_sampling(record, {.temperature = 0.7F, .seed = 18446744073709551615ULL, .stop = {"\n\n", "END"}});
    record.add_json("slices", "8");
    return record;
}

TEST(RunRecord, HoldsEveryValueInTheGivenOrder) {
    const ScratchFolder folder;
    write_run_record(folder / "out.jsonl", sample());
    const std::string text = content_of(folder / "out.jsonl.run.json");
    const auto read = nlohmann::ordered_json::parse(text);
    std::vector<std::string> names;
    for (const auto& item : read.items()) names.push_back(item.key());
    EXPECT_EQ(names, (std::vector<std::string>{"model", "max_new_tokens", "temperature", "top_k", "top_p",
                                               "min_p", "repetition_penalty", "seed", "stop", "ignore_eos",
                                               "logprobs", "n", "slices"}));
    EXPECT_EQ(read["model"], "deepseek \"v3\"");
    EXPECT_NE(text.find("\"temperature\": 0.7,"), std::string::npos) << text;
    EXPECT_EQ(read["seed"].get<std::uint64_t>(), 18446744073709551615ULL);
    EXPECT_EQ(read["stop"][0], "\n\n");
    EXPECT_EQ(read["ignore_eos"], false);
    EXPECT_FALSE(std::filesystem::exists(folder / "out.jsonl.run.json.tmp"));
}

TEST(RunRecord, AcceptsTheSameRun) {
    const ScratchFolder folder;
    write_run_record(folder / "out.jsonl", sample());
    EXPECT_NO_THROW(require_same_run(folder / "out.jsonl", sample()));
}

TEST(RunRecord, NamesEachDifferenceWithBothValues) {
    const ScratchFolder folder;
    RunRecord before = sample();
    before.add_json("gemm", "\"bf16\"");
    write_run_record(folder / "out.jsonl", before);
    RunRecord after = sample();
    after.values[0].second = "\"other\"";
    after.values[2].second = "0.8";
    after.add_json("kv_dtype", "\"fp8\"");
    expect_error(
        [&] { require_same_run(folder / "out.jsonl", after); }, ExitCode::Usage,
        {"model: recorded \"deepseek \\\"v3\\\"\", now \"other\"", "temperature: recorded 0.7, now 0.8",
         "gemm: recorded \"bf16\", now nothing", "kv_dtype: recorded nothing, now \"fp8\"", "--overwrite"});
    try {
        require_same_run(folder / "out.jsonl", after);
    } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find("top_p"), std::string::npos) << error.what();
    }
}

TEST(RunRecord, RefusesAMissingOrBrokenRecord) {
    const ScratchFolder folder;
    expect_error([&] { require_same_run(folder / "out.jsonl", sample()); }, ExitCode::Usage,
                 {"out.jsonl.run.json is missing", "--overwrite"});
    folder.put("out.jsonl.run.json", "{\"model\": ");
    expect_error([&] { require_same_run(folder / "out.jsonl", sample()); }, ExitCode::File,
                 {"out.jsonl.run.json"});
    folder.put("out.jsonl.run.json", "[1]");
    expect_error([&] { require_same_run(folder / "out.jsonl", sample()); }, ExitCode::File, {"JSON object"});
}

TEST(RunRecord, SaysWhyItCannotBeWritten) {
    const ScratchFolder folder;
    expect_error([&] { write_run_record(folder / "none/out.jsonl", sample()); }, ExitCode::File,
                 {"none/out.jsonl.run.json", "No such file or directory"});
}

TEST(RunRecord, IsReadAsItWasWritten) {
    const ScratchFolder folder;
    write_run_record(folder / "out.jsonl", sample());
    const RunRecord read = read_run_record(folder / "out.jsonl");
    ASSERT_EQ(read.values.size(), sample().values.size());
    EXPECT_EQ(read.values.front(), sample().values.front());
    EXPECT_EQ(*read.find("temperature"), "0.7");
    EXPECT_EQ(*read.find("seed"), "18446744073709551615");
    EXPECT_EQ(read.find("nothing"), nullptr);
    EXPECT_TRUE(differences(read, sample()).empty());
}

TEST(RunRecord, AnEndMarkIsNoSetting) {
    const ScratchFolder folder;
    write_run_record(folder / "out.jsonl", sample());
    const std::string before = content_of(folder / "out.jsonl.run.json");
    EXPECT_FALSE(finished_lines(read_run_record(folder / "out.jsonl")).has_value());
    for (const std::int64_t lines : {3, 5}) {
        mark_finished(folder / "out.jsonl", lines);
        EXPECT_EQ(finished_lines(read_run_record(folder / "out.jsonl")), lines);
        EXPECT_NO_THROW(require_same_run(folder / "out.jsonl", sample()));
    }
    mark_unfinished(folder / "out.jsonl");
    EXPECT_FALSE(finished_lines(read_run_record(folder / "out.jsonl")).has_value());
    EXPECT_TRUE(differences(read_run_record(folder / "out.jsonl"), sample()).empty());
    EXPECT_EQ(Json::parse(content_of(folder / "out.jsonl.run.json")), Json::parse(before));
    RunRecord strange;
    strange.add_json("finished", "[7]");
    EXPECT_FALSE(finished_lines(strange).has_value());
}

}  // namespace
}  // namespace sluice
