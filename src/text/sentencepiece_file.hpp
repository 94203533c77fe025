// A SentencePiece model file (`tokenizer.model`), read and checked before the library sees it: the library
// itself trusts what it reads, and ends the process or reads beyond its arrays where a file is made to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::string_view kSentencePieceBlank = "\xE2\x96\x81";  // U+2581, which stands for a blank

struct SentencePieceFile {
    enum class Kind { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };
    struct Piece {
        std::string text;  // UTF-8, not empty
        Kind kind = Kind::Normal;
    };
    std::vector<Piece> pieces;  // by id
    std::string unk_surface = " \xE2\x81\x87 ";
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    bool treat_whitespace_as_suffix = false;
    bool byte_fallback = false;
    // The same model without self-tests, which the library would run, and report to standard error.
    std::string serialized;
};

// A BPE model without normalisation rules of its own; `where` names it in errors. Errors:
// ExitCode::Checkpoint, saying what is broken or not supported, and in which piece.
SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& where);

}  // namespace sluice
