// Configurations of every family, changed as sluice-synth and sluice-cast change them.
#include "model/config_edit.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "model/config.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {
namespace {

std::string text_of(const std::string& name) {
    return read_file(std::string(SLUICE_TEST_DATA) + "/" + name, ExitCode::File);
}

const char* const kFamilies[] = {"configs/DeepSeek-V3.json",     "configs/DeepSeek-V2-Lite.json",
                                 "configs/Llama-3.1-8B.json",    "configs/Mixtral-8x7B-v0.1.json",
                                 "configs/Grok-1.json",          "configs/deepseek-demo-config_671B.json",
                                 "models/grok-tiny/config.json", "configs/deepseek-demo-config_16B.json"};

class ConfigEdit : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, ConfigEdit, testing::ValuesIn(kFamilies), [](const auto& param) {
    std::string name = param.param;
    std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
    return name;
});

TEST_P(ConfigEdit, ChangesTheNumberOfLayersAndNothingElse) {
    const std::string text = text_of(GetParam());
    const ModelConfig before = parse_config(text, "before");
    for (const int layers : {1, 7, 100}) {
        const std::string changed = with_layers(text, layers);
        const ModelConfig after = parse_config(changed, "after");
        ASSERT_EQ(static_cast<int>(after.layers.size()), layers);
        EXPECT_EQ(after.layers[0].feed_forward.index(), before.layers[0].feed_forward.index());
        const std::string back = with_layers(changed, static_cast<int>(before.layers.size()));
        EXPECT_EQ(Json::parse(back), Json::parse(text));
    }
}

TEST_P(ConfigEdit, QuantisesAndWidens) {
    const std::string text = text_of(GetParam());
    const std::string fp8 = with_matrices(text, DType::F8E4M3);
    const std::string bf16 = with_matrices(text, DType::BF16);
    const Quantization quantization = parse_config(fp8, "fp8").quantization;
    EXPECT_EQ(quantization.dtype, DType::F8E4M3);
    EXPECT_EQ(quantization.block_rows, 128);
    EXPECT_EQ(quantization.block_cols, 128);
    EXPECT_FALSE(parse_config(bf16, "bf16").quantization.on());
    // One of them is the text as it was, to the byte; and there is a way back.
    EXPECT_TRUE(fp8 == text || bf16 == text);
    EXPECT_EQ(with_matrices(fp8, DType::F8E4M3), fp8);
    Json back = Json::parse(bf16);
    if (back.contains("n_layers")) back["dtype"] = "bf16";  // which may go unsaid
    EXPECT_EQ(Json::parse(with_matrices(with_matrices(bf16, DType::F8E4M3), DType::BF16)), back);
}

// Of every family that parse_config accepts, with Hugging Face's keys and with their makers' own.
std::vector<std::string> all_configurations() {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(std::string(SLUICE_TEST_DATA) + "/configs"))
        names.push_back("configs/" + file.path().filename().string());
    for (const char* model : {"deepseek-v2-tiny", "deepseek-v3-tiny", "grok-tiny", "grok-tiny-hf",
                              "grok-synthetic", "llama-tiny", "llama-biased", "mixtral-synthetic"}) {
        names.push_back("models/" + std::string(model) + "/config.json");
    }
    std::erase(names, "configs/Grok-2.json");  // refused: its layers differ
    return names;
}

TEST(ConfigEditOfEveryFamily, GoesFromAnyTypeToAnyOther) {
    const auto says = [](const std::string& text, DType type) {
        const Quantization found = parse_config(text, "configuration").quantization;
        EXPECT_EQ(found.dtype, type) << text;
        EXPECT_EQ(found.groups, 1) << text;
        EXPECT_FALSE(found.power_of_two_scales) << text;
        const int block = type == DType::F8E4M3 ? 128 : 0;
        EXPECT_EQ(found.block_rows, block) << text;
        EXPECT_EQ(found.block_cols, block) << text;
        EXPECT_EQ(with_matrices(text, type), text);
    };
    for (const std::string& name : all_configurations()) {
        SCOPED_TRACE(name);
        const std::string text = with_matrices(text_of(name), DType::BF16);
        const std::string fp8 = with_matrices(text, DType::F8E4M3);
        const std::string int8 = with_matrices(text, DType::I8);
        says(text, DType::BF16);
        says(fp8, DType::F8E4M3);
        says(int8, DType::I8);
        says(with_matrices(text_of(name), DType::I8), DType::I8);
        EXPECT_EQ(Json::parse(with_matrices(fp8, DType::I8)), Json::parse(with_matrices(text, DType::I8)));
        EXPECT_EQ(Json::parse(with_matrices(int8, DType::F8E4M3)), Json::parse(fp8));
        EXPECT_EQ(Json::parse(with_matrices(int8, DType::BF16)),
                  Json::parse(with_matrices(fp8, DType::BF16)));
    }
}

TEST(ConfigEditOfInt8, KeepsGroups) {
    Json config = Json::parse(text_of("models/grok-tiny/config.json"));
    config["quantization_config"] = {{"quant_method", "int8"}, {"groups", 8}};
    const std::string text = config.dump();
    EXPECT_EQ(with_matrices(text, DType::I8), text);
}

TEST(ConfigEditOfFp8, KeepsBlocksAndFormatOfScales) {
    Json config = Json::parse(text_of("configs/DeepSeek-V3.1.json"));
    config["quantization_config"]["weight_block_size"] = {64, 32};
    const std::string text = config.dump();
    EXPECT_EQ(with_matrices(text, DType::F8E4M3), text);
    const std::string wide = with_matrices(text_of("configs/deepseek-demo-config_v3.1.json"), DType::BF16);
    EXPECT_FALSE(Json::parse(wide).contains("scale_fmt")) << "which goes with fp8 only";
}

}  // namespace
}  // namespace sluice
