#include "engine/roofline.hpp"

#include "backend/ops.hpp"
#include "core/json.hpp"
#include "model/kv_cache.hpp"
#include "model/parameters.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace sluice::test {
namespace {

ModelConfig config_of(const std::string& name) {
    const auto path = std::filesystem::path(SLUICE_TEST_DATA) / "configs" / (name + ".json");
    return parse_config(read_file(path, ExitCode::Checkpoint), path.string());
}

WeightBytes bytes_of(const ModelConfig& config, const Shard& shard) {
    return weight_bytes(config, shard, DType::BF16, kernels::Family::Cpu);
}

Roofline roofline_of(const ModelConfig& config, const Shard& shard) {
    return {config, shard, bytes_of(config, shard), DType::BF16};
}

TEST(RooflineTest, AlmostAllOperationsAreTwoAnActiveParameter) {
    for (const char* name :
         {"DeepSeek-V3", "DeepSeek-V2-Lite", "Mixtral-8x7B-v0.1", "Grok-1", "Llama-3.1-405B"}) {
        const ModelConfig config = config_of(name);
        const double flops = roofline_of(config, {0, 1, 1}).decode(1, 0).flops;
        const auto active = static_cast<double>(count_parameters(config).active);
        EXPECT_NEAR(flops, 2 * active, 1e-3 * active) << name << ": norms and biases multiply no matrix";
    }
}

TEST(RooflineTest, ADenseModelReadsAllItsWeightsForAnyBatch) {
    const ModelConfig config = config_of("Llama-3.1-70B");
    const Shard shard{1, 4, 8};
    const WeightBytes bytes = bytes_of(config, shard);
    const Roofline roofline = roofline_of(config, shard);
    const auto read = static_cast<double>(bytes.all - bytes.embedding);
    EXPECT_DOUBLE_EQ(roofline.decode(1, 0).bytes, read);
    EXPECT_DOUBLE_EQ(roofline.decode(64, 0).bytes, read);
    EXPECT_DOUBLE_EQ(roofline.decode(64, 0).flops, 64 * roofline.decode(1, 0).flops);
}

TEST(RooflineTest, ABatchReadsTheExpertsThatItsTokensChoose) {
    const ModelConfig config = config_of("Mixtral-8x7B-v0.1");  // 2 of 8
    const Shard shard{0, 2, 8};
    const WeightBytes bytes = bytes_of(config, shard);
    const Roofline roofline = roofline_of(config, shard);
    const auto dense = static_cast<double>(bytes.all - bytes.embedding - bytes.experts);
    const auto experts = static_cast<double>(bytes.experts);
    EXPECT_NEAR(roofline.decode(1, 0).bytes, dense + experts * 0.25, 1);
    EXPECT_NEAR(roofline.decode(2, 0).bytes, dense + experts * (1 - 0.75 * 0.75), 1);
    EXPECT_NEAR(roofline.decode(1000, 0).bytes, dense + experts, 1);
}

TEST(RooflineTest, EverySequenceReadsItsCache) {
    const ModelConfig config = config_of("DeepSeek-V3");
    const Shard shard{3, 8, 8};
    const Roofline roofline = roofline_of(config, shard);
    const double token = static_cast<double>(kv_page_bytes(config, shard, DType::BF16)) / 64;
    EXPECT_DOUBLE_EQ(token, (512 + 64) * 2 * 61);
    EXPECT_NEAR(roofline.decode(5, 1000).bytes - roofline.decode(5, 0).bytes, 5000 * token, 1000);
    // 16 of 128 heads: a score over 576 columns, a sum over 512, in 61 layers.
    const double pair = 2.0 * 16 * (576 + 512) * 61;
    EXPECT_NEAR(roofline.decode(5, 1000).flops - roofline.decode(5, 0).flops, 5000 * pair,
                1e-6 * 5000 * pair);
}

TEST(RooflineTest, HeadsShareKeysOfTheirGroup) {
    const ModelConfig config = config_of("Llama-3.1-8B");
    const Roofline roofline = roofline_of(config, {0, 4, 8});
    const double pair = 2.0 * 8 * 2 * 128 * 32;  // 8 of 32 heads, score and sum, 128 wide, 32 layers
    EXPECT_NEAR(roofline.decode(1, 1000).flops - roofline.decode(1, 0).flops, 1000 * pair,
                1e-6 * 1000 * pair);
}

TEST(RooflineTest, PrefillReadsAPromptsCacheOnceAStepAndLooksBackOnHalfOfIt) {
    const ModelConfig config = config_of("Llama-3.1-8B");
    const Roofline roofline = roofline_of(config, {0, 1, 8});
    const double token = 2.0 * 8 * 128 * 2 * 32;  // keys and values of 8 heads in bfloat16, 32 layers
    const double weights =
        roofline.decode(1, 0).bytes - static_cast<double>(bytes_of(config, {0, 1, 8}).head);
    EXPECT_NEAR(roofline.prefill(512, 4096).bytes - weights, 2048 * token, 1e3);
    EXPECT_NEAR(roofline.prefill(512, 128).bytes - weights, 4 * 64 * token, 1e3) << "four prompts in a step";
    const double pair = 2.0 * 32 * 2 * 128 * 32;
    EXPECT_NEAR(roofline.prefill(512, 4096).flops - roofline.prefill(512, 2048).flops, 512 * 1024 * pair,
                1e-6 * 512 * 1024 * pair);
}

TEST(RooflineTest, AStepIsCountedAsItIsPlanned) {
    const ModelConfig config = config_of("Mixtral-8x7B-v0.1");
    const Shard shard{0, 1, 8};
    const Roofline roofline = roofline_of(config, shard);
    Step decode;
    decode.tokens.resize(3);
    decode.logit_rows = {0, 1, 2};
    for (int i = 0; i < 3; ++i) decode.sequences.push_back({i, 1, 500});
    EXPECT_DOUBLE_EQ(roofline.of(decode).bytes, roofline.decode(3, 500).bytes);
    EXPECT_DOUBLE_EQ(roofline.of(decode).flops, roofline.decode(3, 500).flops);

    Step prefill;  // positions 100 to 109 of a prompt
    prefill.tokens.resize(10);
    prefill.sequences.push_back({0, 10, 110});
    const double token = static_cast<double>(kv_page_bytes(config, shard, DType::BF16)) / 64;
    const StepWork without = roofline.of(prefill);
    const StepWork short_prompt = roofline.prefill(10, 10);  // looks back on 5 keys
    EXPECT_NEAR(without.bytes - short_prompt.bytes, (110 - 5) * token, 1e3);
    const double pair = roofline.decode(1, 1).flops - roofline.decode(1, 0).flops;
    const double more = ((101 + 110) / 2.0 - 5) * 10 * pair;
    EXPECT_NEAR(without.flops - short_prompt.flops, more, 1e-6 * more);
    prefill.logit_rows = {9};
    const auto head = static_cast<double>(bytes_of(config, shard).head);
    EXPECT_NEAR(roofline.of(prefill).bytes, without.bytes + head, 1) << "read where logits are wanted";
    EXPECT_NEAR(head, 2.0 * 32000 * 4096, 1e3);
}

TEST(RooflineTest, RanksShareTheWork) {
    const ModelConfig config = config_of("Llama-3.1-8B");
    const Roofline one = roofline_of(config, {0, 1, 8});
    const Roofline eighth = roofline_of(config, {7, 8, 8});
    EXPECT_NEAR(eighth.decode(16, 2000).flops * 8, one.decode(16, 2000).flops, 1e6);
    EXPECT_NEAR(eighth.decode(16, 2000).bytes * 8 / one.decode(16, 2000).bytes, 1, 1e-3) << "norms are whole";
}

TEST(LeastTime, IsTheLongerOfReadingAndComputing) {
    const DeviceRates rates{1e12, 1e15};
    const StepTime reads = least_time({2e12, 1e15}, rates);
    EXPECT_DOUBLE_EQ(reads.seconds, 2);
    EXPECT_TRUE(reads.memory_bound);
    const StepTime computes = least_time({1e12, 3e15}, rates);
    EXPECT_DOUBLE_EQ(computes.seconds, 3);
    EXPECT_FALSE(computes.memory_bound);
}

}  // namespace
}  // namespace sluice::test
