// The least tokenizer that works, for checkpoints without one: a token for each byte.
#pragma once

#include "model/config.hpp"

#include <map>
#include <string>
#include <string_view>

namespace sluice {

// tokenizer.json (byte-level BPE without merges), tokenizer_config.json and generation_config.json by name.
// The beginning and the ends of texts are those of the configuration's `bos_token_id` and `eos_token_id`; the
// bytes take the lowest other ids. Empty: the vocabulary has no room for 256 more.
std::map<std::string, std::string> byte_tokenizer(std::string_view config_json, const ModelConfig& config);

}  // namespace sluice
