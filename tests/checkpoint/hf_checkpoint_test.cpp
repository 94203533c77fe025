#include "checkpoint/models.hpp"
#include "checkpoint/source.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice {
namespace {

using test::edit_json;
using test::edit_tensors;
using test::RawTensor;
using test::RawTensors;

constexpr const char* kQuery = "model.layers.0.self_attn.q_a_proj.weight";

// Works on a copy of the tiny V3 (fp8, two files, an index) with `edit` applied.
class HuggingFace : public testing::Test {
protected:
    void SetUp() override { test::copy_folder(test::tiny_v3(), model_); }
    void refused(std::initializer_list<std::string_view> parts) {
        expect_error([&] { open_hugging_face(model_); }, ExitCode::Checkpoint, parts);
    }
    void edit_first(const std::function<void(RawTensors&)>& edit) {
        edit_tensors(model_ / test::kFirstFile, edit);
    }
    void edit_index(const std::function<void(nlohmann::ordered_json&)>& edit) {
        edit_json(model_ / test::kIndexFile, [&](auto& json) { edit(json["weight_map"]); });
    }
    void rename_first(const std::string& from, const std::string& to) {
        edit_first([&](RawTensors& tensors) {
            tensors[to] = tensors.at(from);
            tensors.erase(from);
        });
        edit_index([&](auto& map) {
            map[to] = map.at(from);
            map.erase(from);
        });
    }

    ScratchFolder folder_;
    std::filesystem::path model_ = folder_ / "model";
};

TEST_F(HuggingFace, NamesFollowTheLayout) {
    const auto name = [](const char* ours) { return test::deepseek_name({ours, {}}); };
    EXPECT_EQ(name("/embed"), "model.embed_tokens.weight");
    EXPECT_EQ(name("/norm"), "model.norm.weight");
    EXPECT_EQ(name("/head"), "lm_head.weight");
    EXPECT_EQ(name("/layers/12/attention_norm"), "model.layers.12.input_layernorm.weight");
    EXPECT_EQ(name("/layers/3/ffn_norm"), "model.layers.3.post_attention_layernorm.weight");
    EXPECT_EQ(name("/layers/3/attention/q"), "model.layers.3.self_attn.q_proj.weight");
    EXPECT_EQ(name("/layers/3/attention/q_b"), "model.layers.3.self_attn.q_b_proj.weight");
    EXPECT_EQ(name("/layers/3/attention/kv_a"), "model.layers.3.self_attn.kv_a_proj_with_mqa.weight");
    EXPECT_EQ(name("/layers/3/attention/kv_a_norm"), "model.layers.3.self_attn.kv_a_layernorm.weight");
    EXPECT_EQ(name("/layers/3/router"), "model.layers.3.mlp.gate.weight");
    EXPECT_EQ(name("/layers/3/router_bias"), "model.layers.3.mlp.gate.e_score_correction_bias");
    EXPECT_EQ(name("/layers/3/experts/7/gate"), "model.layers.3.mlp.experts.7.gate_proj.weight");
    EXPECT_EQ(name("/layers/3/shared/up"), "model.layers.3.mlp.shared_experts.up_proj.weight");
    EXPECT_EQ(name("/layers/0/ffn/down"), "model.layers.0.mlp.down_proj.weight");
}

TEST_F(HuggingFace, EveryTensorIsTheFilesOwn) {
    const auto source = open_hugging_face(model_);
    const RawTensors raw = test::read_model(model_);
    for (const TensorSpec& spec : tensor_catalog(source->config())) {
        const SourceTensor tensor = source->tensor(spec);
        const RawTensor& expected = raw.at(test::deepseek_name(spec));
        ASSERT_EQ(tensor.pieces.size(), 1U);
        std::vector<std::byte> values(expected.bytes.size());
        tensor.read({0, tensor.rows()}, values.data());
        ASSERT_EQ(std::memcmp(values.data(), expected.bytes.data(), values.size()), 0) << spec.name;
        const auto scales = raw.find(test::deepseek_name(spec) + "_scale_inv");
        ASSERT_EQ(tensor.scales.empty(), scales == raw.end()) << spec.name;
        if (scales == raw.end()) continue;
        ASSERT_EQ(tensor.scales.size() * 4, scales->second.bytes.size()) << spec.name;
        EXPECT_EQ(std::memcmp(tensor.scales.data(), scales->second.bytes.data(), scales->second.bytes.size()),
                  0);
        EXPECT_EQ(tensor.form.block, (Block{128, 128}));
    }
    EXPECT_EQ(source->text_files().size(), 3U);
    EXPECT_EQ(source->text_files().at("tokenizer.json"), content_of(model_ / "tokenizer.json"));
}

TEST_F(HuggingFace, ReadsOneFileWithoutAnIndex) { EXPECT_NO_THROW(open_hugging_face(test::tiny_v2())); }

TEST_F(HuggingFace, ReadsTheOnlyOtherConfiguration) {
    std::filesystem::rename(model_ / "config.json", model_ / "config_tiny.json");
    EXPECT_NO_THROW(open_hugging_face(model_));
    std::filesystem::copy(model_ / "config_tiny.json", model_ / "config_other.json");
    refused({"config_other.json, config_tiny.json"});
    std::filesystem::remove(model_ / "config_tiny.json");
    std::filesystem::remove(model_ / "config_other.json");
    refused({"config.json is missing"});
}

TEST_F(HuggingFace, RefusesUnsupportedConfigurations) {
    edit_json(model_ / "config.json", [](auto& config) { config["hidden_act"] = "relu"; });
    refused({"config.json", "hidden_act", "relu"});
}

TEST_F(HuggingFace, RefusesMissingFiles) {
    std::filesystem::remove(model_ / test::kSecondFile);
    refused({test::kSecondFile, "is missing", test::kIndexFile});
    std::filesystem::remove(model_ / test::kIndexFile);
    refused({test::kIndexFile, "found", test::kFirstFile});
}

TEST_F(HuggingFace, RefusesAnIndexThatDisagrees) {
    edit_index([](auto& map) { map[kQuery] = test::kSecondFile; });
    refused({"1 tensors are not where the index says", kQuery, test::kSecondFile});
    edit_index([](auto& map) { map.erase(kQuery); });
    refused({"1 tensors of its files are not in the index", kQuery, test::kFirstFile});
    edit_index([](auto& map) { map[kQuery] = "../model/" + std::string(test::kFirstFile); });
    refused({kQuery, "../model/", "beside the index"});
    edit_json(model_ / test::kIndexFile, [](auto& json) { json.erase("weight_map"); });
    refused({"weight_map"});
}

TEST_F(HuggingFace, RefusesMissingTensors) {
    edit_first([](RawTensors& tensors) { tensors.erase("model.embed_tokens.weight"); });
    edit_index([](auto& map) { map.erase("model.embed_tokens.weight"); });
    refused({"1 tensors are missing", "model.embed_tokens.weight", "config.json"});
}

TEST_F(HuggingFace, RefusesUnknownTensors) {
    rename_first("model.layers.0.input_layernorm.weight", "model.layers.0.input_layernorm.bias");
    refused({"1 tensors are missing", "model.layers.0.input_layernorm.weight"});
    edit_first([](RawTensors& tensors) {
        tensors["model.layers.0.input_layernorm.weight"] = tensors.at("model.layers.0.input_layernorm.bias");
    });
    edit_index([](auto& map) { map["model.layers.0.input_layernorm.weight"] = test::kFirstFile; });
    refused({"1 tensors are not part of the model", "model.layers.0.input_layernorm.bias"});
}

TEST_F(HuggingFace, RefusesAMissingScaleAndAScaleOfNothing) {
    const std::string scale = std::string(kQuery) + "_scale_inv";
    rename_first(scale, "model.layers.0.mlp.spare.weight_scale_inv");
    refused({scale, "is missing", "block scales"});
    rename_first("model.layers.0.mlp.spare.weight_scale_inv", scale);
    EXPECT_NO_THROW(open_hugging_face(model_));
    edit_first([](RawTensors& tensors) {
        tensors["model.norm.weight_scale_inv"] = tensors.at(std::string(kQuery) + "_scale_inv");
    });
    edit_index([](auto& map) { map["model.norm.weight_scale_inv"] = test::kFirstFile; });
    refused({"not part of the model", "model.norm.weight_scale_inv"});
}

TEST_F(HuggingFace, RefusesWrongShapesAndTypes) {
    edit_first([](RawTensors& tensors) { tensors.at(kQuery).shape = {256, 96}; });
    refused({kQuery, "[256, 96]", "config.json says [96, 256]"});
    edit_first([](RawTensors& tensors) {
        tensors.at(kQuery) = {"BF16", {96, 256}, std::string(2UL * 96 * 256, '\0')};
    });
    refused({kQuery, "dtype BF16", "F8_E4M3"});
    edit_first([](RawTensors& tensors) {
        tensors.at(kQuery) = {"F8_E4M3", {96, 256}, std::string(96UL * 256, '\0')};
        tensors.at(std::string(kQuery) + "_scale_inv").shape = {2, 1};
    });
    refused({kQuery, "F32 [2, 1]", "expected F32 [1, 2]"});
    edit_first([](RawTensors& tensors) {
        tensors.at(std::string(kQuery) + "_scale_inv").shape = {1, 2};
        tensors.at("model.embed_tokens.weight").dtype = "F16";
    });
    refused({"model.embed_tokens.weight", "float16", "bfloat16"});
    edit_first([](RawTensors& tensors) { tensors.at("model.embed_tokens.weight").dtype = "I16"; });
    refused({"model.embed_tokens.weight", "unsupported dtype I16"});
}

TEST_F(HuggingFace, RefusesQuantisedMatricesThatTheConfigurationDenies) {
    edit_json(model_ / "config.json", [](auto& config) { config.erase("quantization_config"); });
    refused({"unsupported dtype F8_E4M3", "quantization_config"});
    edit_json(model_ / "config.json", [](auto& config) {
        config["quantization_config"] = {{"quant_method", "int8"}};
    });
    refused({"config.json", "'quantization_config' says int8"});
}

TEST_F(HuggingFace, RefusesScalesThatAreNoNumbers) {
    edit_first([](RawTensors& tensors) {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        std::memcpy(tensors.at(std::string(kQuery) + "_scale_inv").bytes.data(), &nan, sizeof nan);
    });
    const auto source = open_hugging_face(model_);
    expect_error(
        [&] {
            for (const TensorSpec& spec : tensor_catalog(source->config())) source->tensor(spec);
        },
        ExitCode::Checkpoint, {kQuery, "block scale is nan"});
}

TEST_F(HuggingFace, PredictionLayersAreThereWholeOrNotAtAll) {
    const auto count = [&] { return open_hugging_face(model_)->tensors().size(); };
    const ModelConfig config = open_hugging_face(model_)->config();
    EXPECT_EQ(count(), tensor_catalog(config).size() + prediction_catalog(config).size());
    const auto drop = [&](std::string_view start) {
        for (const auto& entry : std::filesystem::directory_iterator(model_)) {
            if (entry.path().extension() != ".safetensors") continue;
            RawTensors tensors = test::read_safetensors(entry.path());
            std::erase_if(tensors, [&](const auto& tensor) { return tensor.first.starts_with(start); });
            test::write_safetensors(entry.path(), tensors);
        }
        edit_json(model_ / "model.safetensors.index.json", [&](auto& index) {
            auto kept = nlohmann::ordered_json::object();
            for (const auto& [name, file] : index["weight_map"].items())
                if (!name.starts_with(start)) kept[name] = file;
            index["weight_map"] = kept;
        });
    };
    drop("model.layers.4.eh_proj");
    refused({"1 tensors are missing", "model.layers.4.eh_proj.weight"});
    drop("model.layers.4.");
    EXPECT_EQ(count(), tensor_catalog(config).size());
}

TEST_F(HuggingFace, TellsPredictionLayersByConfigurationOnly) {
    edit_json(model_ / "config.json", [](auto& config) { config["num_nextn_predict_layers"] = 0; });
    refused({"not part of the model", "model.layers.4."});
}

TEST_F(HuggingFace, IgnoresRotaryTables) {
    edit_first([](RawTensors& tensors) {
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {8}, std::string(32, '\0')};
    });
    edit_index([](auto& map) { map["model.layers.0.self_attn.rotary_emb.inv_freq"] = test::kFirstFile; });
    EXPECT_NO_THROW(open_hugging_face(model_));
}

TEST_F(HuggingFace, RefusesATensorInTwoFiles) {
    edit_tensors(model_ / test::kSecondFile, [&](RawTensors& tensors) {
        tensors[kQuery] = test::read_safetensors(model_ / test::kFirstFile).at(kQuery);
    });
    refused({kQuery, "is also in"});
}

}  // namespace
}  // namespace sluice
