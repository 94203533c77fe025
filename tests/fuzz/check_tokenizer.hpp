// What holds for every tokenizer that was accepted.
#pragma once

#include "fuzz.hpp"
#include "text/detokenizer.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"
#include "text/utf8_decode.hpp"

#include <string>
#include <vector>

namespace sluice::fuzz {

inline constexpr const char* kTexts[] = {
    "",
    "Once upon a time, there were 1234567 words.",
    "  blanks \t\n\n  and\r\nlines \xC2\xA0 ",
    "na\xC3\xAFve \xE4\xBD\xA0\xE5\xA5\xBD e\xCC\x81 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB",
    "<s>special <tool> tokens</s>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    "it's WE'LL they\xE2\x80\x99re \xCD\x85\xE2\x85\xA7\xC2\xB2",
};

// The text of all bytes together, for byte-level tokenizers.
inline std::string at_once(const Tokenizer& tokenizer, const std::vector<Token>& tokens, bool skip_special) {
    std::string bytes;
    for (const Token token : tokens)
        if (!skip_special || !tokenizer.is_special(token)) bytes += tokenizer.bytes_of(token);
    std::string text;
    append_replacement(append_complete_utf8(bytes, text), text, false);
    return text;
}

// Ids lie in the vocabulary, and decode to UTF-8; byte-level ones piece by piece to the text of all bytes.
inline void check_text(const Tokenizer& tokenizer, const std::string& text) {
    std::vector<Token> tokens;
    if (!accepts(ExitCode::File, [&] { tokens = tokenizer.encode(text); })) return;
    for (const Token token : tokens)
        promise(token >= 0 && token < tokenizer.vocab_size(), "token {} of {}", token,
                tokenizer.vocab_size());
    for (const bool skip_special : {false, true}) {
        Detokenizer detokenizer(tokenizer, skip_special);
        std::string pieces;
        for (const Token token : tokens) pieces += detokenizer.push(token);
        pieces += detokenizer.finish();
        promise(is_valid_utf8(pieces), "decoded to what is not UTF-8");
        if (!tokenizer.decode_rules().bytes_stand_alone)
            promise(pieces == at_once(tokenizer, tokens, skip_special), "piece by piece is not the whole");
    }
}

}  // namespace sluice::fuzz
