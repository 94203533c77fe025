// Text to token ids and back.
#pragma once

#include "text/request.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// File name -> bytes. They come from a folder, or from inside a Sluice checkpoint.
struct TokenizerFiles {
    std::map<std::string, std::string> files;
};

// Reads those of the known tokenizer files (tokenizer.json, tokenizer_config.json, ...) that the folder
// holds. Errors: ExitCode::Checkpoint when it holds no tokenizer, or a file cannot be read.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder);

// The tokens that begin and end a text.
struct SpecialTokens {
    std::optional<Token> bos;
    std::string bos_text;
    std::vector<Token> eos;  // every id that ends a completion, ascending
    std::string eos_text;
    bool add_bos = false;  // a plain prompt begins with bos (a chat template writes its own)
};

// How decode() and Detokenizer put the tokens' bytes together; the default is that of byte-level tokenizers.
struct DecodeRules {
    // Each byte that belongs to no character becomes a U+FFFD of its own, not only each maximal subpart of an
    // ill-formed sequence; and a token without bytes ends a sequence.
    bool bytes_stand_alone = false;
    // bytes_at_start() counts until there is some text, not only for the first token that has bytes.
    bool start_lasts = false;
};

// Every function is const and safe to call from several threads at once.
class Tokenizer {
public:
    explicit Tokenizer(SpecialTokens special, DecodeRules rules = {})
        : special_(std::move(special)), rules_(rules) {}
    virtual ~Tokenizer() = default;
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    // Ids of `text`; the names of added tokens inside it are recognised, bos is not added.
    // Errors: ExitCode::File when the text is not UTF-8, or defeats the tokenizer's regular expressions.
    virtual std::vector<Token> encode(std::string_view text) const = 0;

    // The raw bytes the token stands for, perhaps part of a character. Unknown id: empty.
    virtual std::string_view bytes_of(Token token) const = 0;

    // The same where the text begins: without the blank that encode() has put before a text.
    virtual std::string_view bytes_at_start(Token token) const { return bytes_of(token); }

    // Tokens that are left out of completions.
    virtual bool is_special(Token token) const = 0;

    // The token of this name, an added one or one of the vocabulary (SentencePiece: not its pieces of text).
    virtual std::optional<Token> id_of(std::string_view name) const = 0;

    // encode() puts a blank before a text (SentencePiece's dummy prefix).
    virtual bool begins_with_blank() const { return false; }

    // One past the highest id: a model with fewer embeddings cannot use this tokenizer.
    virtual Token vocab_size() const = 0;

    const SpecialTokens& special() const { return special_; }
    const DecodeRules& decode_rules() const { return rules_; }

private:
    SpecialTokens special_;
    DecodeRules rules_;
};

// From tokenizer.json where it is byte-level, otherwise from tokenizer.model (README.md says which is which).
// Errors: ExitCode::Checkpoint, naming the file and what in it is missing, wrong or not supported.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerFiles& files);

// The text of the tokens; bytes that are not UTF-8 become U+FFFD (see DecodeRules).
std::string decode(const Tokenizer& tokenizer, std::span<const Token> tokens, bool skip_special);

}  // namespace sluice
