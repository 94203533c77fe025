#include "model/config.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "model/catalog.hpp"
#include "model/rope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

using testing::HasSubstr;

std::string data(const std::string& name) {
    return read_file(std::string(SLUICE_TEST_DATA) + "/" + name, ExitCode::File);
}

ModelConfig config_of(const std::string& name) { return parse_config(data(name), name); }

std::int64_t parameters(const ModelConfig& config) {
    std::int64_t total = 0;
    for (const TensorSpec& tensor : tensor_catalog(config)) total += tensor.full.elements();
    return total;
}

TEST(Catalog, CommonPartOfRanges) {
    EXPECT_EQ(common_part({2, 9}, {5, 20}), (Range{5, 9}));
    EXPECT_EQ(common_part({5, 20}, {2, 9}), (Range{5, 9}));
    EXPECT_EQ(common_part({0, 3}, {7, 9}), (Range{7, 7})) << "none";
}

TEST(Catalog, ScaleGridCoversTheMatrix) {
    EXPECT_EQ(scale_grid({257, 128}, {128, 128}), (Shape{3, 1}));
    EXPECT_EQ(scale_grid({3, 2, 50}, {1, 40}), (Shape{3, 3}));
    EXPECT_EQ(scale_grid({257, 128}, {}), (Shape{0, 0}));
}

// The published sizes: 671 B and 236 B parameters, 15.7 B for V2-Lite.
TEST(Config, PublishedModelsHaveTheirPublishedSizes) {
    EXPECT_NEAR(static_cast<double>(parameters(config_of("configs/DeepSeek-V3.json"))), 671.0e9, 0.1e9);
    EXPECT_NEAR(static_cast<double>(parameters(config_of("configs/DeepSeek-V2.json"))), 235.7e9, 0.3e9);
    EXPECT_NEAR(static_cast<double>(parameters(config_of("configs/DeepSeek-V2-Lite.json"))), 15.7e9, 0.05e9);
}

void expect_same_model(const ModelConfig& a, const ModelConfig& b) {
    ASSERT_EQ(a.layers.size(), b.layers.size());
    for (std::size_t i = 0; i < a.layers.size(); ++i) {
        const auto* moe = std::get_if<MoeSpec>(&a.layers[i].feed_forward);
        const auto* other = std::get_if<MoeSpec>(&b.layers[i].feed_forward);
        ASSERT_EQ(moe == nullptr, other == nullptr);
        if (moe == nullptr) continue;
        EXPECT_EQ(moe->router, other->router);
        EXPECT_EQ(moe->router_bias, other->router_bias);
        EXPECT_EQ(moe->shared_hidden, other->shared_hidden);
    }
    const auto catalog = tensor_catalog(a);
    const auto other = tensor_catalog(b);
    ASSERT_EQ(catalog.size(), other.size());
    for (std::size_t i = 0; i < catalog.size(); ++i) {
        EXPECT_EQ(catalog[i].name, other[i].name);
        EXPECT_EQ(catalog[i].full, other[i].full);
    }
    EXPECT_EQ(a.attention_scale, b.attention_scale);
    EXPECT_EQ(a.quantization.dtype, b.quantization.dtype);
    EXPECT_EQ(a.quantization.power_of_two_scales, b.quantization.power_of_two_scales);
    EXPECT_EQ(rope_frequencies(a.rope), rope_frequencies(b.rope));
    EXPECT_EQ(a.rope.amplitude, b.rope.amplitude);
}

// The two forms in which DeepSeek publishes the same models.
TEST(Config, DeepSeeksOwnKeysDescribeTheSameModels) {
    expect_same_model(config_of("configs/deepseek-demo-config_671B.json"),
                      config_of("configs/DeepSeek-V3.json"));
    expect_same_model(config_of("configs/deepseek-demo-config_v3.1.json"),
                      config_of("configs/DeepSeek-V3.1.json"));
    expect_same_model(config_of("configs/deepseek-demo-config_16B.json"),
                      config_of("configs/DeepSeek-V2-Lite.json"));
}

// Correction ranges and scales worked out by hand for the two small models: pairs 0 to 4 of 8 are blended.
TEST(Config, YarnOfTheSmallModels) {
    const ModelConfig v3 = config_of("models/deepseek-v3-tiny/config.json");
    EXPECT_FLOAT_EQ(v3.attention_scale, 0.16205962F);
    EXPECT_EQ(v3.rope.amplitude, 1.0F);
    const ModelConfig v2 = config_of("models/deepseek-v2-tiny/config.json");
    EXPECT_FLOAT_EQ(v2.attention_scale, 0.17401744F);
    const std::vector<float> stretched = rope_frequencies(v3.rope);
    RopeSpec plain = v3.rope;
    plain.scaling = RopeSpec::Scaling::None;
    const std::vector<float> kept = rope_frequencies(plain);
    ASSERT_EQ(stretched.size(), 8U);
    EXPECT_EQ(stretched[0], kept[0]);
    EXPECT_FLOAT_EQ(stretched[2], kept[2] / 4 * 0.5F + kept[2] * 0.5F);
    for (std::size_t i = 4; i < 8; ++i) EXPECT_FLOAT_EQ(stretched[i], kept[i] / 4);
}

TEST(Config, RopeTableHoldsCosAndSinOfEachAngle) {
    RopeSpec rope;
    rope.dim = 4;
    rope.theta = 100;
    const std::vector<float> table = rope_table(rope, 3);
    ASSERT_EQ(table.size(), 12U);
    EXPECT_FLOAT_EQ(table[8], std::cos(2.0F));
    EXPECT_FLOAT_EQ(table[9], std::sin(2.0F));
    EXPECT_FLOAT_EQ(table[10], std::cos(0.2F));
    EXPECT_FLOAT_EQ(table[11], std::sin(0.2F));
}

TEST(Config, GreedyRoutersIgnoreGroupsAndV2DoesNotScaleRenormalisedWeights) {
    Json json = Json::parse(data("models/deepseek-v2-tiny/config.json"));
    json["n_group"] = 4;
    json["routed_scaling_factor"] = 16.0;
    auto moe = std::get<MoeSpec>(parse_config(json.dump(), "test").layers[1].feed_forward);
    EXPECT_EQ(moe.router.groups, 1);
    EXPECT_EQ(moe.router.scale, 16.0F);
    json["norm_topk_prob"] = true;
    moe = std::get<MoeSpec>(parse_config(json.dump(), "test").layers[1].feed_forward);
    EXPECT_EQ(moe.router.scale, 1.0F);
    EXPECT_TRUE(moe.router.renormalize);
    json["num_experts_per_tok"] = 1;  // whose weight is kept as it is
    moe = std::get<MoeSpec>(parse_config(json.dump(), "test").layers[1].feed_forward);
    EXPECT_EQ(moe.router.scale, 16.0F);
    EXPECT_FALSE(moe.router.renormalize);
}

struct Refusal {
    const char* key;
    Json value;
    const char* says;
};

TEST(Config, RefusesWhatItDoesNotSupportByName) {
    const Refusal refusals[] = {
        {"model_type", "deepseek_v32", "supported: deepseek_v2, deepseek_v3"},
        {"attention_bias", true, "attention_bias"},
        {"tie_word_embeddings", true, "tie_word_embeddings"},
        {"hidden_act", "relu", "silu"},
        {"scoring_func", "tanh", "softmax, sigmoid"},
        {"topk_method", "random", "noaux_tc"},
        {"rope_scaling", {{"type", "dynamic"}, {"factor", 2}}, "yarn"},
        {"quantization_config", {{"quant_method", "awq"}}, "quant_method"},
        {"quantization_config", {{"quant_method", "fp8"}, {"fmt", "e4m3"}}, "weight_block_size"},
        {"hidden_size", nullptr, "'hidden_size' is missing"},
        {"hidden_size", -3, "'hidden_size' is -3"},
        {"num_hidden_layers", "many", "expected an integer"},
        {"n_group", 3, "must divide the experts"},
        {"num_experts_per_tok", 9, "offer fewer"},
        {"qk_rope_head_dim", 15, "odd"},
        {"num_hidden_layers", 20000, "from 1 to 10000"},
        {"n_shared_experts", 1000000, "from 0 to 64"},
        {"rope_parameters", {{"rope_type", "longrope"}}, "yarn"},
        {"rope_scaling",
         {{"type", "yarn"},
          {"factor", 4},
          {"original_max_position_embeddings", 64},
          {"mscale_all_dim", 1e38}},
         "the attention scale inf"},
        {"rope_scaling",
         {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 64}, {"mscale", -10}},
         "the amplitude -0.3"},
        {"rms_norm_eps", 0, "positive"},
        {"rope_theta", 0.5, "'rope_theta' is 0.5; expected a number above 1"},
        {"num_nextn_predict_layers", 17, "from 0 to 16"},
    };
    for (const Refusal& refusal : refusals) {
        Json json = Json::parse(data("models/deepseek-v3-tiny/config.json"));
        json[refusal.key] = refusal.value;
        try {
            parse_config(json.dump(), "a/config.json");
            ADD_FAILURE() << refusal.key << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::Checkpoint);
            EXPECT_THAT(error.what(), HasSubstr(refusal.says));
            EXPECT_THAT(error.what(), HasSubstr("a/config.json"));
        }
    }
}

// As newer configuration files write it.
TEST(Config, RopeParametersMeanTheSameAsRopeScaling) {
    Json json = Json::parse(data("models/deepseek-v3-tiny/config.json"));
    json["rope_parameters"] = json["rope_scaling"];
    json["rope_parameters"]["rope_theta"] = json["rope_theta"];
    json.erase("rope_scaling");
    json.erase("rope_theta");
    expect_same_model(parse_config(json.dump(), "test"), config_of("models/deepseek-v3-tiny/config.json"));
}

TEST(Config, MoreExpertsThanAnyModelHasAreRefusedBeforeTheyAreListed) {
    Json json = Json::parse(data("models/deepseek-v3-tiny/config.json"));
    json["num_hidden_layers"] = 10000;
    json["n_routed_experts"] = 65536;
    EXPECT_THROW(parse_config(json.dump(), "test"), Error);
}

TEST(Catalog, SlicesTileEveryTensorOnce) {
    for (const char* name : {"models/deepseek-v3-tiny/config.json", "models/deepseek-v2-tiny/config.json"}) {
        const ModelConfig config = config_of(name);
        for (const int slices : {1, 2, 3, 4}) {
            ASSERT_TRUE(can_slice(config, slices, nullptr));
            for (const TensorSpec& tensor : tensor_catalog(config)) {
                std::int64_t held = 0;
                std::int64_t next = 0;
                for (int slice = 0; slice < slices; ++slice) {
                    const Range range = slice_range(tensor, slice, slices);
                    held += range.size();
                    if (tensor.cut.along != Along::Axis) continue;
                    EXPECT_EQ(range.begin, next) << tensor.name;
                    EXPECT_EQ(range.size() % tensor.cut.unit, 0) << tensor.name;
                    EXPECT_GT(range.size(), 0) << tensor.name;
                    next = range.end;
                }
                const std::int64_t length = tensor.full[tensor.cut.axis];
                EXPECT_EQ(held, tensor.cut.along == Along::Common ? length * slices : length) << tensor.name;
            }
        }
    }
}

TEST(Catalog, DefaultSlicesGiveEverySliceSomething) {
    EXPECT_EQ(default_slices(config_of("models/deepseek-v3-tiny/config.json")), 4);
    EXPECT_EQ(default_slices(config_of("configs/DeepSeek-V3.json")), 8);
    std::string why;
    EXPECT_FALSE(can_slice(config_of("models/deepseek-v3-tiny/config.json"), 8, &why));
    EXPECT_THAT(why, HasSubstr("/layers/0/attention/q_b has only 4 parts"));
}

}  // namespace
}  // namespace sluice
