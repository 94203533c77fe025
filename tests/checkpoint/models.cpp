#include "checkpoint/models.hpp"

#include "checkpoint/foreign_names.hpp"
#include "model/catalog.hpp"
#include "model/config.hpp"

#include <cstring>
#include <random>

namespace sluice::test {
namespace {

std::string random_bytes(std::size_t count, std::mt19937& random) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() & 0x7dU);  // no NaN in any type
    return bytes;
}

RawTensor random_scales(const Shape& full, std::mt19937& random) {
    RawTensor scales{"F32", {(full[0] + 127) / 128, (full[1] + 127) / 128}, ""};
    for (std::int64_t i = 0; i < scales.shape[0] * scales.shape[1]; ++i) {
        const float scale = 0.001F + static_cast<float>(random() % 1000) * 1e-5F;
        scales.bytes.append(reinterpret_cast<const char*>(&scale), sizeof scale);
    }
    return scales;
}

}  // namespace

std::filesystem::path tiny_v3() {
    return std::filesystem::path(SLUICE_TEST_DATA) / "models/deepseek-v3-tiny";
}
std::filesystem::path tiny_v2() {
    return std::filesystem::path(SLUICE_TEST_DATA) / "models/deepseek-v2-tiny";
}

std::string deepseek_name(const TensorSpec& spec) {
    ModelConfig config;
    config.family = "deepseek_v3";
    return hugging_face_layout(config, [](const std::string&) { return true; }).name_of(spec);
}

void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

void edit_json(const std::filesystem::path& path, const std::function<void(nlohmann::ordered_json&)>& edit) {
    auto json = nlohmann::ordered_json::parse(content_of(path));
    edit(json);
    std::ofstream(path) << json.dump();
}

void edit_tensors(const std::filesystem::path& path, const std::function<void(RawTensors&)>& edit) {
    RawTensors tensors = read_safetensors(path);
    edit(tensors);
    write_safetensors(path, tensors);
}

nlohmann::ordered_json odd_sizes() {
    auto config = nlohmann::ordered_json::parse(content_of(tiny_v3() / "config.json"));
    config.update(nlohmann::ordered_json{{"hidden_size", 200},
                                         {"moe_intermediate_size", 72},
                                         {"intermediate_size", 331},
                                         {"q_lora_rank", 136},
                                         {"kv_lora_rank", 130},
                                         {"vocab_size", 515},
                                         {"num_attention_heads", 3},
                                         {"num_key_value_heads", 3},
                                         {"qk_nope_head_dim", 70},
                                         {"v_head_dim", 57},
                                         {"num_hidden_layers", 2},
                                         {"num_nextn_predict_layers", 0},
                                         {"n_routed_experts", 5},
                                         {"n_group", 1},
                                         {"topk_group", 1},
                                         {"num_experts_per_tok", 2}});
    return config;
}

void write_random_model(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                        std::size_t tensors_per_file) {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << config.dump();
    const bool quantised = config.contains("quantization_config");
    std::mt19937 random(7);
    nlohmann::ordered_json index{{"weight_map", nlohmann::ordered_json::object()}};
    RawTensors tensors;
    int files = 0;
    const auto flush = [&] {
        const std::string file = fmt::format("part-{}.safetensors", files++);
        for (const auto& [name, tensor] : tensors) index["weight_map"][name] = file;
        write_safetensors(folder / file, tensors);
        tensors.clear();
    };
    for (const TensorSpec& spec : tensor_catalog(parse_config(config.dump(), "test"))) {
        const bool fp8 = quantised && spec.quantizable;
        RawTensor tensor{fp8 ? "F8_E4M3" : "BF16", {}, ""};
        for (int axis = 0; axis < spec.full.rank(); ++axis) tensor.shape.push_back(spec.full[axis]);
        tensor.bytes = random_bytes(static_cast<std::size_t>(spec.full.elements()) * (fp8 ? 1 : 2), random);
        const std::string name = deepseek_name(spec);
        if (fp8) tensors[name + "_scale_inv"] = random_scales(spec.full, random);
        tensors[name] = std::move(tensor);
        if (tensors.size() >= tensors_per_file) flush();
    }
    if (!tensors.empty()) flush();
    std::ofstream(folder / kIndexFile) << index.dump();
}

}  // namespace sluice::test
