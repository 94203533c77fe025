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

// Every function is const and safe to call from several threads at once.
class Tokenizer {
public:
    explicit Tokenizer(SpecialTokens special) : special_(std::move(special)) {}
    virtual ~Tokenizer() = default;
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    // Ids of `text`; the names of added tokens inside it are recognised, bos is not added.
    // Errors: ExitCode::File when the text is not UTF-8, or defeats the tokenizer's regular expressions.
    virtual std::vector<Token> encode(std::string_view text) const = 0;

    // The raw bytes the token stands for, perhaps part of a character. Unknown id: empty.
    virtual std::string_view bytes_of(Token token) const = 0;

    // Tokens that are left out of completions.
    virtual bool is_special(Token token) const = 0;

    // One past the highest id: a model with fewer embeddings cannot use this tokenizer.
    virtual Token vocab_size() const = 0;

    const SpecialTokens& special() const { return special_; }

private:
    SpecialTokens special_;
};

// Errors: ExitCode::Checkpoint, naming the file and what in it is missing, wrong or not supported.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerFiles& files);

// The text of the tokens; bytes that are not UTF-8 become U+FFFD (see utf8_decode.hpp).
std::string decode(const Tokenizer& tokenizer, std::span<const Token> tokens, bool skip_special);

}  // namespace sluice
