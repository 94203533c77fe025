// For a checkpoint that came without a tokenizer: ids go in and come out, text does neither.
#pragma once

#include "text/tokenizer.hpp"

namespace sluice {

// Every id of the vocabulary stands for no text; encode() refuses (ExitCode::File), saying to give tokens.
// The eos ids are those of generation_config.json, where there is one.
std::unique_ptr<Tokenizer> make_no_tokenizer(const TokenizerFiles& files, Token vocabulary);

}  // namespace sluice
