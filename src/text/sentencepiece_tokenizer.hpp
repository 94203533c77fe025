// The tokenizer of a SentencePiece model.
#pragma once

#include "text/tokenizer.hpp"

#include <memory>

namespace sluice {

// From tokenizer.model. Beside files of Hugging Face's (tokenizer_config.json, special_tokens_map.json,
// added_tokens.json), text is encoded as transformers' LlamaTokenizer does it, otherwise as the SentencePiece
// library does. Errors: ExitCode::Checkpoint, naming the file.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const TokenizerFiles& files);

}  // namespace sluice
