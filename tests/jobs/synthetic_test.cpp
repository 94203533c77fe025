// From a published configuration, reduced in its sizes, to text: sluice-synth, sluice-shard, sluice-inspect,
// sluice-generate.
#include "jobs/job.hpp"
#include "text/tokenizer.hpp"

#include <map>
#include <set>

namespace sluice::test {
namespace {

// What the sizes become, whatever a family calls them.
const std::map<std::string, int> kSmallSizes{{"hidden_size", 80},
                                             {"dim", 80},
                                             {"emb_size", 80},
                                             {"intermediate_size", 96},
                                             {"inter_dim", 96},
                                             {"moe_intermediate_size", 40},
                                             {"moe_inter_dim", 40},
                                             {"num_hidden_layers", 3},
                                             {"n_layers", 3},
                                             {"num_layers", 3},
                                             {"first_k_dense_replace", 1},
                                             {"n_dense_layers", 1},
                                             {"num_attention_heads", 4},
                                             {"n_heads", 4},
                                             {"num_q_heads", 4},
                                             {"num_key_value_heads", 2},
                                             {"num_kv_heads", 2},
                                             {"head_dim", 16},
                                             {"key_size", 16},
                                             {"n_routed_experts", 8},
                                             {"num_local_experts", 4},
                                             {"num_experts", 4},
                                             {"num_experts_per_tok", 2},
                                             {"n_activated_experts", 2},
                                             {"n_group", 2},
                                             {"n_expert_groups", 2},
                                             {"topk_group", 1},
                                             {"n_limited_groups", 1},
                                             {"q_lora_rank", 24},
                                             {"kv_lora_rank", 32},
                                             {"qk_nope_head_dim", 16},
                                             {"qk_rope_head_dim", 8},
                                             {"v_head_dim", 16},
                                             {"vocab_size", 300}};

void reduce(OrderedJson& config) {
    for (auto& [key, value] : config.items()) {
        const auto small = kSmallSizes.find(key);
        if (value.is_object()) reduce(value);
        if (value.is_number() && value > 0 && small != kSmallSizes.end()) value = small->second;
    }
}

class SynthTest : public JobTest {
protected:
    Ending tool(const Words& words) const { return Process(words, folder_.path()).wait(); }
};

class SyntheticModel : public SynthTest, public testing::WithParamInterface<const char*> {
protected:
    // Writes GetParam()'s configuration, small, and returns its path: the file's own name matters.
    std::string small_config() const {
        const std::filesystem::path original = std::filesystem::path(SLUICE_TEST_DATA) / GetParam();
        auto config = OrderedJson::parse(content_of(original));
        reduce(config);
        return folder_.put("config_small.json", config.dump(2)).string();
    }
    OrderedJson inspect(const std::string& name) const {
        const Ending ending = tool({SLUICE_INSPECT, path(name), "--json"});
        EXPECT_EQ(ending.code, 0) << ending.err;
        return OrderedJson::parse(ending.out);
    }
};

INSTANTIATE_TEST_SUITE_P(
    Configurations, SyntheticModel,
    testing::Values("configs/DeepSeek-R1.json", "configs/DeepSeek-V2-Lite.json", "configs/DeepSeek-V2.json",
                    "configs/DeepSeek-V3.1.json", "configs/DeepSeek-V3.json", "configs/Grok-1.json",
                    "configs/Llama-3.1-405B.json", "configs/Llama-3.1-8B.json",
                    "configs/Mixtral-8x22B-v0.1.json", "configs/Mixtral-8x7B-v0.1.json",
                    "configs/deepseek-demo-config_16B.json", "configs/deepseek-demo-config_236B.json",
                    "configs/deepseek-demo-config_671B.json", "configs/deepseek-demo-config_v3.1.json",
                    "models/grok-tiny/config.json"),
    [](const auto& param) {
        std::string name = param.param;
        std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
        return name;
    });

TEST_P(SyntheticModel, GoesThroughEveryProgram) {
    const std::string config = small_config();
    for (const std::string dtype : {"bf16", "fp8"}) {
        const std::string foreign = dtype;
        const std::string own = dtype + "-sharded";
        const Ending made = tool({SLUICE_SYNTH, "--config", config, "--output", path(foreign), "--dtype",
                                  dtype, "--max-file-size", "200KiB"});
        ASSERT_EQ(made.code, 0) << made.err;
        EXPECT_TRUE(exists(foreign + "/config_small.json"));
        const Ending sharded = tool({SLUICE_SHARD, "--input", path(foreign), "--output", path(own)});
        ASSERT_EQ(sharded.code, 0) << sharded.err;

        const OrderedJson seen = inspect(own);
        EXPECT_EQ(seen.at("tensors").size(), inspect(foreign).at("tensors").size());
        std::set<std::string> types;
        for (const OrderedJson& tensor : seen.at("tensors")) types.insert(tensor.at("dtype"));
        EXPECT_EQ(types.contains("float8_e4m3fn"), dtype == "fp8");

        folder_.put("in.txt", "Once\n");
        const auto answers =
            records({"--model", path(own), "--prompts", path("in.txt"), "--output", path(dtype + ".jsonl"),
                     "--max-new-tokens", "8", "--ignore-eos", "--temperature", "0", "--max-seq-len", "128",
                     "--kv-memory", "4MiB", "--threads", "1"},
                    dtype + ".jsonl");
        ASSERT_EQ(answers.size(), 1U);
        EXPECT_EQ(answers.front().at("finish_reason"), "length");
        EXPECT_EQ(answers.front().at("completion_tokens"), 8);  // numbers, or it were an error
    }
}

class ByteTokenizer : public SyntheticModel {};
INSTANTIATE_TEST_SUITE_P(Configurations, ByteTokenizer,
                         testing::Values("configs/Mixtral-8x7B-v0.1.json", "configs/Grok-1.json"),
                         [](const auto& param) {
                             return std::string(param.param).find("Grok") == std::string::npos ? "mixtral"
                                                                                               : "grok";
                         });

TEST_P(ByteTokenizer, HasATokenForEachByteAndTheConfigurationsEnds) {
    const Ending made = tool({SLUICE_SYNTH, "--config", small_config(), "--output", path("model")});
    ASSERT_EQ(made.code, 0) << made.err;
    const auto tokenizer = make_tokenizer(read_tokenizer_files(path("model")));
    EXPECT_EQ(tokenizer->special().bos, 1);
    EXPECT_EQ(tokenizer->special().eos, std::vector<Token>{2});
    EXPECT_TRUE(tokenizer->special().add_bos);
    const bool hides_token_0 = std::string(GetParam()).find("Grok") != std::string::npos;
    EXPECT_EQ(tokenizer->vocab_size(), hides_token_0 ? 259 : 258);

    std::string text;
    for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
    text += "\u00e9\u20ac\U0001f600";
    const std::vector<Token> tokens = tokenizer->encode(text);
    EXPECT_EQ(tokens.size(), text.size());
    EXPECT_EQ(decode(*tokenizer, tokens, false), text);
    for (const Token token : tokens) EXPECT_TRUE(token > 2 || (token == 0 && !hides_token_0)) << token;
}

TEST_F(SynthTest, WithoutRoomForBytesThereIsNoTokenizer) {
    auto config = OrderedJson::parse(
        content_of(std::filesystem::path(SLUICE_TEST_DATA) / "models/llama-biased/config.json"));
    config["vocab_size"] = 257;  // two of them begin and end texts
    folder_.put("config.json", config.dump());
    const Ending made = tool({SLUICE_SYNTH, "--config", path("config.json"), "--output", path("model")});
    EXPECT_EQ(made.code, 0);
    EXPECT_NE(made.err.find("no tokenizer"), std::string::npos) << made.err;
    EXPECT_FALSE(exists("model/tokenizer.json"));
}

}  // namespace
}  // namespace sluice::test
