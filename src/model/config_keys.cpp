#include "model/config_keys.hpp"

#include "core/error.hpp"

#include <cmath>
#include <utility>

namespace sluice {

Keys::Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    require(object.is_object(), ExitCode::Checkpoint, "{}: expected a JSON object", where_);
}

bool Keys::has(const char* key) const {
    const auto found = object_.find(key);
    return found != object_.end() && !found->is_null();
}

const Json& Keys::raw(const char* key) const {
    require(has(key), ExitCode::Checkpoint, "{}: '{}' is missing", where_, key);
    return object_.at(key);
}

Keys Keys::inside(const char* key) const { return {raw(key), fmt::format("{}: '{}'", where_, key)}; }

int Keys::integer(const char* key, int least, int most) const {
    const Json& value = raw(key);
    require(value.is_number_integer() && value >= least && value <= most, ExitCode::Checkpoint,
            "{}: '{}' is {}; expected an integer from {} to {}", where_, key, value.dump(), least, most);
    return value.get<int>();
}

int Keys::integer_or(const char* key, int otherwise, int least, int most) const {
    return has(key) ? integer(key, least, most) : otherwise;
}

float Keys::number(const char* key) const {
    const Json& value = raw(key);
    require(value.is_number() && std::isfinite(value.get<float>()), ExitCode::Checkpoint,
            "{}: '{}' is {}; expected a finite number", where_, key, value.dump());
    return value.get<float>();
}

float Keys::number_or(const char* key, float otherwise) const { return has(key) ? number(key) : otherwise; }

float Keys::positive(const char* key) const {
    const float value = number(key);
    require(value > 0, ExitCode::Checkpoint, "{}: '{}' is {}; expected a positive number", where_, key,
            value);
    return value;
}

float Keys::positive_or(const char* key, float otherwise) const {
    return has(key) ? positive(key) : otherwise;
}

bool Keys::flag_or(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const Json& value = raw(key);
    require(value.is_boolean(), ExitCode::Checkpoint, "{}: '{}' is {}; expected true or false", where_, key,
            value.dump());
    return value.get<bool>();
}

std::string Keys::text_or(const char* key, std::string otherwise) const {
    if (!has(key)) return otherwise;
    const Json& value = raw(key);
    require(value.is_string(), ExitCode::Checkpoint, "{}: '{}' is {}; expected a string", where_, key,
            value.dump());
    return value.get<std::string>();
}

void Keys::refuse(const char* key, std::string_view supported) const {
    fail(ExitCode::Checkpoint, "{}: '{}' is {}, which is not supported; supported: {}", where_, key,
         has(key) ? object_.at(key).dump() : "missing", supported);
}

void Keys::refuse_if_set(const char* key) const {
    if (has(key) && object_.at(key) != Json(false) && object_.at(key) != Json(0)) refuse(key, "no such key");
}

float yarn_mscale(float factor, float mscale) {
    return factor <= 1 ? 1.0F : 0.1F * mscale * std::log(factor) + 1.0F;
}

namespace {

void parse_yarn(const Keys& scaling, RopeSpec& rope) {
    rope.scaling = RopeSpec::Scaling::Yarn;
    rope.beta_fast = scaling.positive_or("beta_fast", 32);
    rope.beta_slow = scaling.positive_or("beta_slow", 1);
    rope.original_length = scaling.integer("original_max_position_embeddings", 1);
    rope.amplitude = scaling.has("attention_factor")
                         ? scaling.positive("attention_factor")
                         : yarn_mscale(rope.factor, scaling.number_or("mscale", 1)) /
                               yarn_mscale(rope.factor, scaling.number_or("mscale_all_dim", 0));
}

void parse_llama3(const Keys& scaling, RopeSpec& rope) {
    rope.scaling = RopeSpec::Scaling::Llama3;
    rope.low_freq_factor = scaling.positive("low_freq_factor");
    rope.high_freq_factor = scaling.positive("high_freq_factor");
    rope.original_length = scaling.integer("original_max_position_embeddings", 1);
    if (rope.high_freq_factor <= rope.low_freq_factor)
        scaling.refuse("high_freq_factor", "a number above low_freq_factor");
}

}  // namespace

int parse_head_dim(const Keys& keys, int dim, int heads) {
    if (keys.has("head_dim")) return keys.integer("head_dim", 1);
    if (dim % heads != 0)
        keys.refuse("hidden_size", fmt::format("a multiple of the {} heads, or a 'head_dim'", heads));
    return dim / heads;
}

const char* rope_section(const Keys& keys) {
    return keys.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
}

RopeSpec parse_rope(const Keys& keys, int dim, float theta) {
    RopeSpec rope;
    rope.dim = dim;
    rope.theta = keys.positive_or("rope_theta", theta);
    const char* section = rope_section(keys);
    if (!keys.has(section)) return rope;
    const Keys scaling = keys.inside(section);
    rope.theta = scaling.positive_or("rope_theta", rope.theta);
    const char* kind = scaling.has("rope_type") ? "rope_type" : "type";
    const std::string type = scaling.text_or(kind, "");
    if (type == "default") return rope;
    if (type != "linear" && type != "llama3" && type != "yarn")
        scaling.refuse(kind, "default, linear, llama3, yarn");
    rope.factor = scaling.positive("factor");
    if (type == "linear") rope.scaling = RopeSpec::Scaling::Linear;
    if (type == "llama3") parse_llama3(scaling, rope);
    if (type == "yarn") parse_yarn(scaling, rope);
    return rope;
}

Quantization parse_quantization(const Keys& keys) {
    Quantization quantization;
    if (!keys.has("quantization_config")) return quantization;
    const Keys q = keys.inside("quantization_config");
    const std::string method = q.text_or("quant_method", "");
    if (method == "int8") {
        quantization.dtype = DType::I8;
        quantization.groups = q.integer_or("groups", 1, 1, 65536);
        return quantization;
    }
    if (method != "fp8") q.refuse("quant_method", "fp8, int8");
    if (q.text_or("fmt", "e4m3") != "e4m3") q.refuse("fmt", "e4m3");
    if (q.text_or("activation_scheme", "dynamic") != "dynamic") q.refuse("activation_scheme", "dynamic");
    quantization.dtype = DType::F8E4M3;
    const Json block = q.has("weight_block_size") ? q.raw("weight_block_size") : Json();
    if (!block.is_array() || block.size() != 2 || !block[0].is_number_integer() ||
        !block[1].is_number_integer() || block[0] < 1 || block[1] < 1 || block[0] > 65536 ||
        block[1] > 65536) {
        q.refuse("weight_block_size", "two positive integers, such as [128, 128]");
    }
    quantization.block_rows = block[0].get<int>();
    quantization.block_cols = block[1].get<int>();
    const std::string format = q.text_or("scale_fmt", "");
    if (format != "" && format != "ue8m0") q.refuse("scale_fmt", "ue8m0, or no such key");
    quantization.power_of_two_scales = format == "ue8m0";
    return quantization;
}

}  // namespace sluice
