#include "model/config_edit.hpp"

#include "core/error.hpp"
#include "core/json.hpp"
#include "model/config.hpp"

namespace sluice {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string text_of(const OrderedJson& config) { return config.dump(2) + "\n"; }

// DeepSeek's own keys say it in a word.
bool has_own_dtype(const OrderedJson& config) {
    return !config.contains("model_type") && config.contains("n_layers");
}

// What an earlier quantisation left.
void widen(OrderedJson& config) {
    config.erase("quantization_config");
    if (!has_own_dtype(config)) return;
    config["dtype"] = "bf16";
    config.erase("scale_fmt");
}

void quantize_to_fp8(OrderedJson& config) {
    if (has_own_dtype(config)) {
        config["dtype"] = "fp8";
        return;
    }
    config["quantization_config"] = OrderedJson{{"activation_scheme", "dynamic"},
                                                {"fmt", "e4m3"},
                                                {"quant_method", "fp8"},
                                                {"weight_block_size", {128, 128}}};
}

void quantize_to_int8(OrderedJson& config) {
    config["quantization_config"] = OrderedJson{{"quant_method", "int8"}, {"groups", 1}};
}

}  // namespace

std::string with_layers(std::string_view config_json, int layers) {
    auto config = OrderedJson::parse(config_json);
    OrderedJson& keys =
        config.contains("num_hidden_layers") || !config.contains("model") ? config : config["model"];
    for (const char* key : {"num_hidden_layers", "n_layers", "num_layers"}) {
        if (!keys.contains(key)) continue;
        keys[key] = layers;
        return text_of(config);
    }
    fail(ExitCode::Checkpoint, "the configuration does not say how many layers there are");
}

std::string with_matrices(std::string_view config_json, DType dtype) {
    expect(dtype == DType::F8E4M3 || dtype == DType::I8 || dtype == DType::BF16, "matrices of {}",
           name_of(dtype));
    if (parse_config(config_json, "configuration").quantization.dtype == dtype)
        return std::string(config_json);
    auto config = OrderedJson::parse(config_json);
    widen(config);
    if (dtype == DType::F8E4M3) quantize_to_fp8(config);
    if (dtype == DType::I8) quantize_to_int8(config);
    return text_of(config);
}

}  // namespace sluice
