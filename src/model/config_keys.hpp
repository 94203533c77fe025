// What the parsers of configuration files share: one parser a family, all registered in config.cpp.
#pragma once

#include "core/json.hpp"
#include "model/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// An object of a configuration file. Errors (ExitCode::Checkpoint) name the file and the key.
class Keys {
public:
    Keys(const Json& object, std::string where);

    bool has(const char* key) const;  // and it is not null
    Keys inside(const char* key) const;
    const Json& raw(const char* key) const;

    int integer(const char* key, int least, int most = 1 << 24) const;
    int integer_or(const char* key, int otherwise, int least, int most = 1 << 24) const;
    float number(const char* key) const;  // finite
    float number_or(const char* key, float otherwise) const;
    float positive(const char* key) const;
    float positive_or(const char* key, float otherwise) const;
    bool flag_or(const char* key, bool otherwise) const;
    std::string text_or(const char* key, std::string otherwise) const;

    [[noreturn]] void refuse(const char* key, std::string_view supported) const;
    // Refuses a key that asks for what is not there, unless it is missing, null, false or 0.
    void refuse_if_set(const char* key) const;

private:
    const Json& object_;
    std::string where_;
};

// `head_dim`, or the heads' equal parts of `hidden_size`, which is `dim`.
int parse_head_dim(const Keys& keys, int dim, int heads);

// `rope_theta` (`theta` without it) and `rope_scaling` (or newer files' `rope_parameters`) of a rotated
// width. Types: default, linear, llama3, yarn.
RopeSpec parse_rope(const Keys& keys, int dim, float theta = 10000);

// Newer files say all about the rotary embedding, theta too, in one place: the key to look in.
const char* rope_section(const Keys& keys);

// YaRN's temperature (arXiv:2309.00071, 3.4): 0.1 * mscale * ln(factor) + 1.
float yarn_mscale(float factor, float mscale);

// `quantization_config`: fp8 in blocks, or int8 with groups.
Quantization parse_quantization(const Keys& keys);

ModelConfig parse_deepseek(const Keys& keys);      // Hugging Face's deepseek_v2 and deepseek_v3
ModelConfig parse_deepseek_own(const Keys& keys);  // DeepSeek's config_671B.json and the like
ModelConfig parse_llama(const Keys& keys);         // Hugging Face's llama and mixtral
ModelConfig parse_grok(const Keys& keys);          // Grok-1 in Hugging Face's layout
ModelConfig parse_grok_own(const Keys& keys);      // the names of xAI's run.py

}  // namespace sluice
