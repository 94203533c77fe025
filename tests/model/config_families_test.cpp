// Llama, Mixtral and Grok-1: what their configuration files come to.
#include "core/error.hpp"
#include "core/json.hpp"
#include "model/catalog.hpp"
#include "model/config.hpp"
#include "model/rope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

using testing::HasSubstr;

Json json_of(const std::string& name) {
    return Json::parse(read_file(std::string(SLUICE_TEST_DATA) + "/" + name, ExitCode::File));
}

ModelConfig config_of(const std::string& name) { return parse_config(json_of(name).dump(), name); }

double parameters(const std::string& name) {
    double total = 0;
    for (const TensorSpec& tensor : tensor_catalog(config_of(name)))
        total += static_cast<double>(tensor.full.elements());
    return total;
}

void expect_refused(const Json& config, const std::string& says) {
    try {
        parse_config(config.dump(), "a/config.json");
        ADD_FAILURE() << "accepted; expected: " << says;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        EXPECT_THAT(error.what(), HasSubstr(says));
        EXPECT_THAT(error.what(), HasSubstr("a/config.json"));
    }
}

TEST(ConfigFamilies, PublishedModelsHaveTheirPublishedSizes) {
    EXPECT_NEAR(parameters("configs/Grok-1.json"), 314e9, 3e9);
    EXPECT_NEAR(parameters("configs/Llama-3.1-8B.json"), 8.03e9, 0.01e9);
    EXPECT_NEAR(parameters("configs/Llama-3.1-70B.json"), 70.55e9, 0.05e9);
    EXPECT_NEAR(parameters("configs/Llama-3.1-405B.json"), 405.85e9, 0.05e9);
    EXPECT_NEAR(parameters("configs/Mixtral-8x7B-v0.1.json"), 46.70e9, 0.01e9);
    EXPECT_NEAR(parameters("configs/Mixtral-8x22B-v0.1.json"), 140.6e9, 0.1e9);
}

TEST(ConfigFamilies, LlamaWithBiasesAndWithoutAHeadOfItsOwn) {
    Json json = json_of("models/llama-tiny/config.json");
    ModelConfig config = parse_config(json.dump(), "test");
    const auto& gqa = std::get<GqaSpec>(config.layers[0].attention);
    EXPECT_EQ(gqa.heads, 8);
    EXPECT_EQ(gqa.kv_heads, 2);
    EXPECT_EQ(gqa.head_dim, 24);
    EXPECT_FALSE(gqa.qkv_bias || gqa.out_bias || config.tied_head || config.post_norms);
    EXPECT_FLOAT_EQ(config.attention_scale, 0.20412415F);
    EXPECT_FALSE(config.rope.interleaved);
    const std::size_t plain = tensor_catalog(config).size();
    json["attention_bias"] = true;
    EXPECT_EQ(tensor_catalog(parse_config(json.dump(), "test")).size(), plain + std::size_t{4} * 4);
    json["tie_word_embeddings"] = true;
    EXPECT_EQ(tensor_catalog(parse_config(json.dump(), "test")).size(), plain + std::size_t{4} * 4 - 1);
    json.erase("head_dim");
    json.erase("num_key_value_heads");
    config = parse_config(json.dump(), "test");
    EXPECT_EQ(std::get<GqaSpec>(config.layers[0].attention).kv_heads, 8);
    EXPECT_EQ(std::get<GqaSpec>(config.layers[0].attention).head_dim, 24);
}

TEST(ConfigFamilies, MixtralRenormalisesTwoOfEight) {
    const ModelConfig config = config_of("configs/Mixtral-8x7B-v0.1.json");
    const auto& moe = std::get<MoeSpec>(config.layers[31].feed_forward);
    EXPECT_EQ(moe.router, (RouterSpec{RouterSpec::Score::Softmax, 8, 2, 1, 1, true, 1.0F}));
    EXPECT_EQ(moe.hidden, 14336);
    EXPECT_EQ(moe.shared_hidden, 0);
    EXPECT_FLOAT_EQ(config.rope.theta, 1e6F);
    EXPECT_EQ(default_slices(config), 8);
}

TEST(ConfigFamilies, MixtralHasDefaultsOfItsOwn) {
    Json json = json_of("configs/Mixtral-8x7B-v0.1.json");
    json.erase("rope_theta");
    json.erase("rms_norm_eps");
    const ModelConfig mixtral = parse_config(json.dump(), "test");
    EXPECT_EQ(mixtral.rope.theta, 1e6F);
    EXPECT_EQ(mixtral.norm_eps, 1e-5F);
    json["model_type"] = "llama";
    const ModelConfig llama = parse_config(json.dump(), "test");
    EXPECT_EQ(llama.rope.theta, 1e4F);
    EXPECT_EQ(llama.norm_eps, 1e-6F);
}

void expect_grok(const ModelConfig& config, int kv_heads) {
    const auto& gqa = std::get<GqaSpec>(config.layers.front().attention);
    const auto& moe = std::get<MoeSpec>(config.layers.back().feed_forward);
    EXPECT_EQ(gqa.kv_heads, kv_heads);
    EXPECT_EQ(gqa.group() * kv_heads, gqa.heads);
    EXPECT_EQ(moe.router, (RouterSpec{RouterSpec::Score::Softmax, 8, 2, 1, 1, false, 1.0F}));
    EXPECT_TRUE(config.post_norms && config.tied_head);
    EXPECT_EQ(config.attention_softcap, 30.0F);
    EXPECT_EQ(config.activation, Activation::GeluTanh);
    EXPECT_EQ(config.norm_eps, 1e-5F);
    EXPECT_EQ(config.masked_token, 0);
    EXPECT_FLOAT_EQ(config.logit_scale, 0.57735026F);
    EXPECT_FALSE(config.rope.interleaved);
}

TEST(ConfigFamilies, GrokInBothSpellings) {
    const ModelConfig published = config_of("configs/Grok-1.json");
    expect_grok(published, 8);
    EXPECT_FLOAT_EQ(published.embedding_scale, 78.383671F);
    EXPECT_FLOAT_EQ(published.attention_scale, 0.088388347F);
    const ModelConfig own = config_of("models/grok-tiny/config.json");
    const ModelConfig ported = config_of("models/grok-tiny-hf/config.json");
    expect_grok(own, 2);
    expect_grok(ported, 2);
    const auto catalog = tensor_catalog(own);
    const auto other = tensor_catalog(ported);
    ASSERT_EQ(catalog.size(), other.size());
    for (std::size_t i = 0; i < catalog.size(); ++i)
        EXPECT_EQ(catalog[i].full, other[i].full) << catalog[i].name;
}

TEST(ConfigFamilies, Int8HasAScaleForEachOutputAndGroupOfInputs) {
    Json json = json_of("models/grok-tiny/config.json");
    json["quantization_config"] = {{"quant_method", "int8"}, {"groups", 8}};
    const ModelConfig config = parse_config(json.dump(), "test");
    for (const TensorSpec& spec : tensor_catalog(config)) {
        const Block block = block_of(spec, config.quantization);
        if (!spec.quantizable) {
            EXPECT_EQ(block, Block{}) << spec.name;
        } else {
            EXPECT_EQ(block, (Block{1, static_cast<int>(spec.full[1] / (spec.row_parallel ? 8 : 1))}))
                << spec.name;
        }
    }
}

struct Frequencies {
    const char* name;
    int dim;
    float theta;
    Json scaling;
    float amplitude;
    std::vector<float> expected;
};

// The expected frequencies are those of Hugging Face's implementation.
TEST(ConfigFamilies, RopeScaling) {
    const Frequencies cases[] = {
        {"llama3",
         24,
         500000,
         {{"rope_type", "llama3"},
          {"factor", 8.0},
          {"high_freq_factor", 4.0},
          {"low_freq_factor", 1.0},
          {"original_max_position_embeddings", 256}},
         1,
         {1.0F, 0.335031629F, 0.112246193F, 0.0105382307F, 0.00157490105F, 0.000527641852F, 0.000176776681F,
          5.92258002e-05F, 1.98425078e-05F, 6.64786967e-06F, 2.22724748e-06F, 7.46197941e-07F}},
        {"linear",
         16,
         10000,
         {{"type", "linear"}, {"factor", 4.0}},
         1,
         {0.25F, 0.079056941F, 0.0250000004F, 0.00790569466F, 0.00249999994F, 0.000790569466F,
          0.000250000012F, 7.90569466e-05F}},
        {"yarn",
         16,
         10000,
         {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 256}},
         1.13862944F,
         {1.0F, 0.25693506F, 0.0625F, 0.0138349654F, 0.00249999994F, 0.000790569466F, 0.000250000012F,
          7.90569466e-05F}},
        {"yarn with an attention factor",
         16,
         10000,
         {{"rope_type", "yarn"},
          {"factor", 4.0},
          {"original_max_position_embeddings", 256},
          {"attention_factor", 1.5}},
         1.5F,
         {1.0F, 0.25693506F, 0.0625F, 0.0138349654F, 0.00249999994F, 0.000790569466F, 0.000250000012F,
          7.90569466e-05F}},
    };
    for (const Frequencies& c : cases) {
        SCOPED_TRACE(c.name);
        Json json = json_of("models/llama-tiny/config.json");
        json["head_dim"] = c.dim;
        json["rope_theta"] = c.theta;
        json["rope_scaling"] = c.scaling;
        const ModelConfig config = parse_config(json.dump(), "test");
        const std::vector<float> found = rope_frequencies(config.rope);
        ASSERT_EQ(found.size(), c.expected.size());
        for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i] / c.expected[i], 1, 2e-6) << i;
        EXPECT_FLOAT_EQ(config.rope.amplitude, c.amplitude);
        // Only DeepSeek's models sharpen the scores as well.
        EXPECT_FLOAT_EQ(config.attention_scale, 1 / std::sqrt(static_cast<float>(c.dim)));
    }
}

TEST(ConfigFamilies, RefusalsNameTheKey) {
    struct Refusal {
        const char *file, *key;
        Json value;
        const char* says;
    };
    const Refusal refusals[] = {
        {"models/llama-tiny/config.json", "mlp_bias", true, "'mlp_bias' is true"},
        {"models/llama-tiny/config.json", "hidden_act", "gelu", "supported: silu"},
        {"models/llama-tiny/config.json", "num_key_value_heads", 3, "8 query heads cannot share 3"},
        {"models/llama-tiny/config.json", "head_dim", 25, "odd"},
        {"models/llama-tiny/config.json", "rope_theta", 1, "'rope_theta' is 1;"},
        {"models/llama-tiny/config.json", "partial_rotary_factor", 0.5, "'partial_rotary_factor'"},
        {"models/llama-tiny/config.json",
         "rope_scaling",
         {{"type", "dynamic"}, {"factor", 2}},
         "llama3, yarn"},
        {"models/llama-tiny/config.json",
         "rope_scaling",
         {{"type", "llama3"}, {"factor", 2}},
         "low_freq_factor"},
        {"models/llama-tiny/config.json", "quantization_config", {{"quant_method", "gptq"}}, "fp8, int8"},
        {"configs/Mixtral-8x7B-v0.1.json", "sliding_window", 4096, "'sliding_window' is 4096"},
        {"configs/Mixtral-8x7B-v0.1.json", "num_experts_per_tok", 9, "offer fewer"},
        {"configs/Grok-1.json", "residual_moe", true, "'residual_moe' is true"},
        {"configs/Grok-1.json", "output_multiplier_scale", nullptr, "'output_multiplier_scale' is missing"},
        {"models/grok-tiny/config.json", "model", 3, "expected a JSON object"},
        {"configs/Grok-2.json", "vocab_size", 131072, "'model_type' is missing"},
    };
    for (const Refusal& refusal : refusals) {
        SCOPED_TRACE(refusal.key);
        Json json = json_of(refusal.file);
        json[refusal.key] = refusal.value;
        expect_refused(json, refusal.says);
    }
}

// Without a width of their own, heads are equal parts of the hidden size, and never empty.
TEST(ConfigFamilies, HeadsWithoutAWidthDivideTheHiddenSize) {
    for (const char* file : {"models/llama-tiny/config.json", "models/grok-tiny-hf/config.json"}) {
        Json json = json_of(file);
        json["head_dim"] = nullptr;
        json["num_attention_heads"] = 8;
        json["num_key_value_heads"] = 8;
        json["hidden_size"] = 192;
        const ModelConfig config = parse_config(json.dump(), "test");
        EXPECT_EQ(std::get<GqaSpec>(config.layers[0].attention).head_dim, 24);
        for (const int size : {4, 196}) {
            json["hidden_size"] = size;
            expect_refused(json, fmt::format("'hidden_size' is {}", size));
            expect_refused(json, "a multiple of the 8 heads, or a 'head_dim'");
        }
    }
}

// As Python computes it, in double: a factor rounded to float32 would fall just short of 1.4 x 70 = 98.
TEST(ConfigFamilies, GrokExpertsWidthFollowsTheWideningFactor) {
    Json json = json_of("models/grok-tiny/config.json");
    const auto width = [&] {
        const ModelConfig config = parse_config(json.dump(), "test");
        return std::get<MoeSpec>(config.layers[0].feed_forward).hidden;
    };
    EXPECT_EQ(width(), 208);
    json["model"]["emb_size"] = 70;
    json["model"]["widening_factor"] = 1.4;
    EXPECT_EQ(width(), 72);
    for (const double factor : {1e30, 1e-9, 1e5}) {
        json["model"]["widening_factor"] = factor;
        expect_refused(json, "'model': 'widening_factor' is");
    }
}

TEST(CatalogFamilies, QueryHeadsGoWithTheirKeyHead) {
    for (const char* name : {"configs/Grok-1.json", "configs/Llama-3.1-70B.json"}) {
        const ModelConfig config = config_of(name);
        const auto& gqa = std::get<GqaSpec>(config.layers[0].attention);
        for (const TensorSpec& spec : tensor_catalog(config)) {
            if (!spec.name.starts_with("/layers/0/attention/")) continue;
            const Range range = slice_range(spec, 3, 8);
            const int per_slice = spec.name.ends_with("/q") || spec.name.ends_with("/o") ? gqa.group() : 1;
            EXPECT_EQ(range.begin, std::int64_t{3} * per_slice * gqa.head_dim) << spec.name;
            EXPECT_EQ(range.size(), std::int64_t{per_slice} * gqa.head_dim) << spec.name;
        }
    }
    EXPECT_EQ(default_slices(config_of("models/llama-tiny/config.json")), 2);
    std::string why;
    EXPECT_FALSE(can_slice(config_of("models/llama-tiny/config.json"), 4, &why));
    EXPECT_THAT(why, HasSubstr("/layers/0/attention/q has only 2 parts"));
}

}  // namespace
}  // namespace sluice
