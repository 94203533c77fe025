// Which tokens begin and end a text, from tokenizer_config.json, special_tokens_map.json and
// generation_config.json.
#pragma once

#include "text/tokenizer.hpp"

#include <functional>

namespace sluice {

// `id_of` looks a token's name up. `template_prefix` is the token that tokenizer.json itself puts before a
// text (empty: none); it decides on add_bos when tokenizer_config.json does not. generation_config.json's eos
// ids, where it has any, replace those of the tokenizer. Errors: ExitCode::Checkpoint, naming the file and
// the key.
SpecialTokens read_special_tokens(const TokenizerFiles& files,
                                  const std::function<std::optional<Token>(const std::string&)>& id_of,
                                  const std::string& template_prefix);

}  // namespace sluice
