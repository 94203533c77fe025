// The tools at the size of the largest models: in little memory, with as many tensors.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ConversionScale : public JobTest {
protected:
    Ending tool(const Words& words) const { return Process(words, folder_.path()).wait(180); }
    void expect_done(const Words& words) const {
        const Ending ending = tool(words);
        ASSERT_EQ(ending.code, 0) << ending.err;
    }
    static std::uintmax_t size_of_files(const fs::path& folder) {
        std::uintmax_t size = 0;
        for (const auto& entry : fs::directory_iterator(folder)) size += entry.file_size();
        return size;
    }
    std::string config(const std::string& name) const {
        return std::string(SLUICE_TEST_DATA) + "/configs/" + name + ".json";
    }
};

// The model is several times as large as all memory that the process may ask for.
TEST_F(ConversionScale, NeedsLittleOfAnAddressSpace) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer reserves terabytes";
#endif
    expect_done({SLUICE_SYNTH, "--config", config("DeepSeek-V2-Lite"), "--layers", "5", "--dtype", "fp8",
                 "--sparse", "--output", path("model")});
    ASSERT_GT(size_of_files(path("model")), 2'500'000'000U);
    const std::string limited = "ulimit -v 700000; exec \"$@\"";
    for (const char* tool_ : {SLUICE_SHARD, SLUICE_CAST}) {
        const Ending ending = tool({"sh", "-c", limited, "sh", tool_, "--input", path("model"), "--output",
                                    path("out"), "--sparse", "--memory", "400MiB", "--threads", "2"});
        ASSERT_EQ(ending.code, 0) << ending.err;
        EXPECT_GT(size_of_files(path("out")), 2'500'000'000U);
        const Ending verified =
            tool({"sh", "-c", limited, "sh", SLUICE_VERIFY, path("out"), "--threads", "2"});
        EXPECT_EQ(verified.code, 0) << verified.err;
        fs::remove_all(path("out"));
    }
}

// All layers and experts of DeepSeek-V3, each a few values wide: 46,183 tensors, 91,991 with their scales.
TEST_F(ConversionScale, HandlesAsManyTensorsAsTheLargestModel) {
    auto model = OrderedJson::parse(content_of(config("DeepSeek-V3")));
    model.update(OrderedJson{{"hidden_size", 16},
                             {"intermediate_size", 16},
                             {"moe_intermediate_size", 8},
                             {"num_attention_heads", 8},
                             {"num_key_value_heads", 8},
                             {"q_lora_rank", 8},
                             {"kv_lora_rank", 8},
                             {"qk_nope_head_dim", 8},
                             {"qk_rope_head_dim", 8},
                             {"v_head_dim", 8},
                             {"vocab_size", 320}});
    folder_.put("config.json", model.dump());
    expect_done({SLUICE_SYNTH, "--config", path("config.json"), "--output", path("model"), "--max-file-size",
                 "300KB"});
    expect_done({SLUICE_SHARD, "--input", path("model"), "--output", path("out"), "--memory", "512MiB"});
    const Ending verified = tool({SLUICE_VERIFY, path("out"), "--against", path("model"), "--json"});
    EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
    const auto shown = OrderedJson::parse(tool({SLUICE_INSPECT, path("out"), "--json"}).out);
    EXPECT_EQ(shown.at("slices"), 8);
    EXPECT_EQ(shown.at("tensors").size(), 46'183U);
    const Ending plan =
        tool({SLUICE_PLAN, "--config", path("out"), "--devices", "8", "--device-memory", "80GiB"});
    EXPECT_THAT(plan.out, HasSubstr("8 slices")) << plan.err;
    folder_.put("in.jsonl", "{\"tokens\":[1,2,3]}\n");
    const Ending dry = tool({SLUICE_GENERATE, "--model", path("out"), "--prompts", path("in.jsonl"),
                             "--output", path("out.jsonl"), "--dry-run"});
    EXPECT_EQ(dry.code, 0) << dry.err;
}

}  // namespace
}  // namespace sluice::test
