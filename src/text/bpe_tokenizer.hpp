// Tokenizers with a byte-level BPE model.
#pragma once

#include "text/tokenizer.hpp"

namespace sluice {

// Whether there is a tokenizer.json of a byte-level model. Errors: ExitCode::Checkpoint when it is no JSON.
bool is_byte_level(const TokenizerFiles& files);

// From tokenizer.json. Gives the ids that Hugging Face's `tokenizers` gives. Errors: see make_tokenizer.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const TokenizerFiles& files);

// From a tokenizer.model that lists tokens by rank (rank_file.hpp), with the pre-tokenizer and special tokens
// that models published in this form have. Gives the ids that tiktoken gives with all special tokens allowed.
// Errors: see make_tokenizer.
std::unique_ptr<Tokenizer> make_ranked_tokenizer(const TokenizerFiles& files);

}  // namespace sluice
