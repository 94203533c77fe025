// The tokenizer of a tokenizer.json with a byte-level BPE model.
#pragma once

#include "text/tokenizer.hpp"

namespace sluice {

// Gives the ids that Hugging Face's `tokenizers` gives. Errors: see make_tokenizer.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const TokenizerFiles& files);

}  // namespace sluice
