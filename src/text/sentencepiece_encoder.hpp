// Plain text to ids, by the SentencePiece library.
#pragma once

#include "text/request.hpp"
#include "text/sentencepiece_file.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Safe to call from several threads at once.
class SentencePieceEncoder {
public:
    // `own_prefix`: a text begins with a blank where the model says so, otherwise never. Errors:
    // ExitCode::Checkpoint, naming `where`, with what the library has against the model.
    SentencePieceEncoder(const SentencePieceFile& file, bool own_prefix, const std::string& where);
    ~SentencePieceEncoder();

    // Appends the ids of `text`, which must be UTF-8; none for an empty one. Errors: ExitCode::File when 16
    // MiB of it have no place to cut (the library takes a hundred times that).
    void encode(std::string_view text, std::vector<Token>& tokens) const;

    // Whether no token reaches from a word into the blank after it, nor is a blank at the beginning lost.
    bool words_are_independent() const { return words_ != nullptr; }

    // The names of these pieces; empty: the model has none.
    std::string bos() const;
    std::string eos() const;
    std::string unk() const;

private:
    class Library;
    class Words;
    void encode_word(std::string_view word, std::vector<Token>& tokens) const;

    std::unique_ptr<const Library> library_;
    std::unique_ptr<Words> words_;  // none: texts are encoded whole
    bool prefix_ = false;           // to be added here, not by the library
};

}  // namespace sluice
