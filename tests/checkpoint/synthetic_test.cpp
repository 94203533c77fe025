// Checkpoints with random weights: what is in them, and what their values depend on.
#include "checkpoint/synthetic.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/safetensors_image.hpp"
#include "checkpoint/source.hpp"
#include "model/config_edit.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>

namespace sluice {
namespace {

using test::RawTensor;
using test::RawTensors;

std::string config_text(const std::string& name) {
    return content_of(std::filesystem::path(SLUICE_TEST_DATA) / name);
}

// DeepSeek-V3's configuration with other sizes; 4500 x 256 are more values than are made at once.
std::string small_v3() {
    auto config = nlohmann::ordered_json::parse(config_text("configs/DeepSeek-V3.json"));
    config.update(nlohmann::ordered_json{{"hidden_size", 256},
                                         {"intermediate_size", 300},
                                         {"moe_intermediate_size", 72},
                                         {"num_hidden_layers", 3},
                                         {"first_k_dense_replace", 1},
                                         {"num_attention_heads", 4},
                                         {"q_lora_rank", 136},
                                         {"kv_lora_rank", 64},
                                         {"qk_nope_head_dim", 24},
                                         {"qk_rope_head_dim", 8},
                                         {"v_head_dim", 16},
                                         {"n_routed_experts", 8},
                                         {"n_group", 2},
                                         {"topk_group", 1},
                                         {"num_experts_per_tok", 2},
                                         {"vocab_size", 4500}});
    return config.dump();
}

std::vector<float> values_of(const RawTensor& tensor) {
    std::vector<float> values;
    const auto* const bytes = reinterpret_cast<const unsigned char*>(tensor.bytes.data());
    const std::size_t size = tensor.dtype == "F32" ? 4 : tensor.dtype == "BF16" ? 2 : 1;
    for (std::size_t at = 0; at < tensor.bytes.size(); at += size) {
        if (size == 1) values.push_back(fp8_to_float(bytes[at]));
        if (size == 2) values.push_back(to_float(static_cast<bf16>(bytes[at] | bytes[at + 1] << 8)));
        if (size == 4) std::memcpy(&values.emplace_back(), bytes + at, 4);
    }
    return values;
}

struct Moments {
    double mean = 0, variance = 0, least = INFINITY, greatest = -INFINITY;
};

Moments moments_of(const std::vector<float>& values) {
    Moments moments;
    for (const float value : values) {
        moments.mean += value / static_cast<double>(values.size());
        moments.least = std::min<double>(moments.least, value);
        moments.greatest = std::max<double>(moments.greatest, value);
    }
    for (const float value : values)
        moments.variance += std::pow(value - moments.mean, 2) / static_cast<double>(values.size());
    return moments;
}

class Synthetic : public testing::Test {
protected:
    std::filesystem::path make(const std::string& config_json, const SyntheticOptions& changed = {}) {
        SyntheticOptions options = changed;
        options.config_json = config_json;
        const std::filesystem::path folder = folder_ / fmt::format("model-{}", ++made_);
        write_synthetic_checkpoint(folder, options, [](std::uint64_t, std::uint64_t) {});
        return folder;
    }

    ScratchFolder folder_;
    int made_ = 0;
};

TEST_F(Synthetic, ValuesDependOnSeedNameAndIndexAlone) {
    const RawTensors expected = test::read_model(make(small_v3(), {.seed = 3}));
    const RawTensors again =
        test::read_model(make(small_v3(), {.seed = 3, .file_bytes = 100'000, .threads = 3}));
    const RawTensors other = test::read_model(make(small_v3(), {.seed = 4}));
    ASSERT_EQ(again.size(), expected.size());
    std::set<std::string> beginnings;
    for (const auto& [name, tensor] : expected) {
        EXPECT_EQ(again.at(name).bytes, tensor.bytes) << name;
        EXPECT_NE(other.at(name).bytes, tensor.bytes) << name;
        EXPECT_TRUE(beginnings.insert(tensor.bytes.substr(0, 16)).second || tensor.bytes.size() < 16) << name;
    }
    // A model cut short has the same layers.
    const RawTensors cut = test::read_model(make(with_layers(small_v3(), 2), {.seed = 3}));
    const std::string down = "model.layers.1.mlp.experts.7.down_proj.weight";
    EXPECT_EQ(cut.at(down).bytes, expected.at(down).bytes);
}

// The recorded goldens of synthetic models rest on these values: tests/data/goldens/record_synthetic.py.
TEST_F(Synthetic, ValuesStayWhatTheyAre) {
    const RawTensors tensors = test::read_model(make(small_v3(), {.seed = 1}));
    const auto first = [&](const std::string& name) {
        auto values = values_of(tensors.at(name));
        values.resize(4);
        return values;
    };
    using testing::ElementsAre;
    EXPECT_THAT(first("model.embed_tokens.weight"),
                ElementsAre(-0.203125F, 0.474609375F, -0.66796875F, -0.279296875F));
    EXPECT_THAT(first("model.layers.0.self_attn.o_proj.weight"), ElementsAre(9, -352, -176, 224));
    std::vector<float> bias = first("model.layers.1.mlp.gate.e_score_correction_bias");
    for (float& value : bias) value = std::floor(value * (0x1p15F / 0.05F));  // n + 1/2 to n
    EXPECT_THAT(bias, ElementsAre(-12505, 30152, -20502, -22900));
}

TEST_F(Synthetic, SizesOfValuesKeepThoseOfActivations) {
    const RawTensors tensors = test::read_model(make(with_matrices(small_v3(), DType::BF16)));
    for (const auto& [name, tensor] : tensors) {
        EXPECT_EQ(tensor.dtype, name.ends_with("correction_bias") ? "F32" : "BF16") << name;
        if (tensor.shape.size() != 2) continue;
        const Moments moments = moments_of(values_of(tensor));
        const double width =
            name.ends_with("embed_tokens.weight") ? 1.0 : static_cast<double>(tensor.shape[1]);
        EXPECT_NEAR(moments.variance * width, 1, 0.06) << name;
        EXPECT_NEAR(moments.mean * std::sqrt(width), 0, 0.05) << name;
    }
    const Moments gain = moments_of(values_of(tensors.at("model.norm.weight")));
    EXPECT_NEAR(gain.mean, 1, 0.05);
    EXPECT_GT(gain.variance, 0.01) << "a norm without its weight would pass unnoticed";
}

TEST_F(Synthetic, Fp8FillsItsCodesAndBlocksHaveScalesOfTheirOwn) {
    const RawTensors tensors = test::read_model(make(small_v3()));
    const RawTensor& matrix = tensors.at("model.layers.0.mlp.down_proj.weight");
    ASSERT_EQ(matrix.dtype, "F8_E4M3");
    std::set<char> codes(matrix.bytes.begin(), matrix.bytes.end());
    EXPECT_GT(codes.size(), 180U) << "of 254; the least are rare";
    EXPECT_FALSE(codes.contains('\x7f') || codes.contains('\xff')) << "no number";
    const RawTensor& scales = tensors.at("model.layers.0.mlp.down_proj.weight_scale_inv");
    EXPECT_EQ(scales.dtype, "F32");
    EXPECT_EQ(scales.shape, std::vector<std::int64_t>({2, 3}));  // [256, 300] in blocks of 128 x 128
    const std::vector<float> values = values_of(scales);
    EXPECT_EQ(std::set<float>(values.begin(), values.end()).size(), 6U);
    const double mean = moments_of(values).mean;
    EXPECT_NEAR(moments_of(values_of(matrix)).variance * mean * mean * 300, 1, 0.5);
    EXPECT_EQ(tensors.at("lm_head.weight").dtype, "BF16");
    EXPECT_EQ(tensors.at("model.layers.1.mlp.gate.weight").dtype, "BF16");
}

TEST_F(Synthetic, ScalesArePowersOfTwoWhereTheConfigurationSaysSo) {
    auto config = nlohmann::ordered_json::parse(small_v3());
    config["quantization_config"]["scale_fmt"] = "ue8m0";
    int scales = 0;
    for (const auto& [name, tensor] : test::read_model(make(config.dump()))) {
        if (!name.ends_with("_scale_inv")) continue;
        for (const float scale : values_of(tensor)) {
            int exponent = 0;
            EXPECT_EQ(std::frexp(scale, &exponent), 0.5F) << name;
            ++scales;
        }
    }
    EXPECT_GT(scales, 100);
}

// As in DeepSeek-V3's own files.
TEST_F(Synthetic, MultiTokenPredictionLayersAreThere) {
    const std::filesystem::path folder = make(small_v3());
    const RawTensors tensors = test::read_model(folder);
    const std::string layer = "model.layers.3.";
    using Dims = std::vector<std::int64_t>;
    EXPECT_EQ(tensors.at(layer + "embed_tokens.weight").shape, Dims({4500, 256}));
    EXPECT_EQ(tensors.at(layer + "enorm.weight").shape, Dims({256}));
    EXPECT_EQ(tensors.at(layer + "hnorm.weight").shape, Dims({256}));
    EXPECT_EQ(tensors.at(layer + "eh_proj.weight").shape, Dims({256, 512}));
    EXPECT_EQ(tensors.at(layer + "eh_proj.weight").dtype, "BF16");
    EXPECT_EQ(tensors.at(layer + "shared_head.norm.weight").shape, Dims({256}));
    EXPECT_EQ(tensors.at(layer + "shared_head.head.weight").shape, Dims({4500, 256}));
    std::size_t of_layer_2 = 0;
    std::size_t of_layer_3 = 0;
    for (const auto& [name, tensor] : tensors) {
        of_layer_2 += name.starts_with("model.layers.2.") ? 1 : 0;
        of_layer_3 += name.starts_with(layer) ? 1 : 0;
        EXPECT_FALSE(name.starts_with("model.layers.4.")) << name;
    }
    EXPECT_EQ(of_layer_3, of_layer_2 + 6);
    EXPECT_EQ(open_source(folder)->config().layers.size(), 3U);
}

TEST_F(Synthetic, ATiedHeadAndBiasesAreAsTheFamilyHasThem) {
    const RawTensors tensors = test::read_model(make(config_text("models/llama-biased/config.json")));
    EXPECT_FALSE(tensors.contains("lm_head.weight"));
    const Moments bias = moments_of(values_of(tensors.at("model.layers.2.self_attn.k_proj.bias")));
    EXPECT_NEAR(bias.mean, 0, 0.05);
    EXPECT_GT(bias.variance, 0.01);
    // An output matrix whose logits are of size 1.
    EXPECT_NEAR(moments_of(values_of(tensors.at("model.embed_tokens.weight"))).variance * 144, 1, 0.03);
}

TEST_F(Synthetic, ConfigurationAndTextFilesLieBeside) {
    SyntheticOptions options;
    options.config_name = "config_671B.json";
    options.text_files = {{"tokenizer.json", "{}"}};
    const std::string config = config_text("models/llama-biased/config.json");
    const std::filesystem::path folder = make(config, options);
    EXPECT_EQ(content_of(folder / "config_671B.json"), config);
    EXPECT_EQ(content_of(folder / "tokenizer.json"), "{}");
    EXPECT_FALSE(std::filesystem::exists(folder / "config.json"));
}

TEST_F(Synthetic, Int8IsRefused) {
    auto config = nlohmann::ordered_json::parse(config_text("models/grok-synthetic/config.json"));
    config["quantization_config"] = {{"quant_method", "int8"}, {"groups", 2}};
    expect_error([&] { make(config.dump()); }, ExitCode::Usage, {"int8", "bf16"});
}

}  // namespace
}  // namespace sluice
