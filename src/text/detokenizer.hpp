// Tokens to text, one at a time.
#pragma once

#include "text/tokenizer.hpp"

#include <string>

namespace sluice {

// All pushes and the finish together are decode(), however the bytes of a character are spread over tokens.
class Detokenizer {
public:
    // The tokenizer must outlive this object.
    Detokenizer(const Tokenizer& tokenizer, bool skip_special)
        : tokenizer_(&tokenizer), skip_special_(skip_special) {}

    // The characters that are complete with this token; often empty in the middle of a character.
    std::string push(Token token);

    // The end: bytes still held back become U+FFFD.
    std::string finish();

private:
    const Tokenizer* tokenizer_;
    bool skip_special_;
    bool at_start_ = true;
    std::string pending_;  // a proper prefix of one character
};

}  // namespace sluice
