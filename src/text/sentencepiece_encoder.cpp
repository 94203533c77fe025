#include "text/sentencepiece_encoder.hpp"

#include "core/error.hpp"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

namespace sluice {
namespace {

using Kind = SentencePieceFile::Kind;

constexpr std::size_t kMaxWhole = std::size_t{16} << 20;
constexpr std::size_t kMaxWords = std::size_t{1} << 16;
constexpr std::size_t kMaxWordBytes = 48;
// Of serialized protobuf messages joined together the later values win: normalizer_spec.add_dummy_prefix = 0.
constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);

// Bytes of the blank, or of the symbol that stands for it, at the start of `text`; 0: there is none.
std::size_t blank_at_start(std::string_view text) {
    if (text.starts_with(' ')) return 1;
    return text.starts_with(kSentencePieceBlank) ? kSentencePieceBlank.size() : 0;
}

// Where the first word of `text` ends: its blanks, and what follows up to the next blank.
std::size_t word_length(std::string_view text) {
    std::size_t at = 0;
    while (const std::size_t blank = blank_at_start(text.substr(at))) at += blank;
    while (at < text.size() && blank_at_start(text.substr(at)) == 0) ++at;
    return at;
}

// Whether words can be encoded one by one. No piece, and so no merge, may reach from a word into the blank
// after it; neither may the normaliser, nor a run of unknown characters, which becomes one token.
bool can_cut(const SentencePieceFile& file) {
    if (file.remove_extra_whitespaces || !file.escape_whitespaces || file.treat_whitespace_as_suffix)
        return false;
    return file.byte_fallback && std::ranges::all_of(file.pieces, [](const SentencePieceFile::Piece& piece) {
               return piece.kind == Kind::Control || word_length(piece.text) == piece.text.size();
           });
}

}  // namespace

// The part of the library that is used.
class SentencePieceEncoder::Library {
public:
    Library(const std::string& model, const std::string& where) {
        const auto status = processor_.LoadFromSerializedProto(model);
        require(status.ok(), ExitCode::Checkpoint, "{}: the SentencePiece library refuses it: {}", where,
                status.ok() ? "" : status.error_message());
    }

    std::vector<Token> encode(std::string_view text) const {
        require(text.size() <= kMaxWhole, ExitCode::File,
                "a text of {} bytes without a place to split it is too long for the tokenizer", text.size());
        std::vector<Token> ids;
        const auto status = processor_.Encode(text, &ids);
        require(status.ok(), ExitCode::File, "a text of {} bytes is not tokenized: {}", text.size(),
                status.ok() ? "" : status.error_message());
        return ids;
    }

    const sentencepiece::SentencePieceProcessor& processor() const { return processor_; }
    std::string name_of(int id) const { return id >= 0 ? processor_.IdToPiece(id) : std::string(); }

private:
    sentencepiece::SentencePieceProcessor processor_;
};

// What the first words met were encoded to: most of a text are a few thousand words, and the library is slow.
class SentencePieceEncoder::Words {
public:
    bool find(std::string_view word, std::vector<Token>& tokens) const {
        const std::shared_lock lock(mutex_);
        const auto found = known_.find(word);
        if (found == known_.end()) return false;
        tokens.insert(tokens.end(), found->second.begin(), found->second.end());
        return true;
    }

    void add(std::string_view word, std::vector<Token> tokens) {
        if (word.size() > kMaxWordBytes) return;
        const std::unique_lock lock(mutex_);
        if (known_.size() < kMaxWords) known_.emplace(word, std::move(tokens));
    }

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
    };
    mutable std::shared_mutex mutex_;
    std::unordered_map<std::string, std::vector<Token>, Hash, std::equal_to<>> known_;
};

SentencePieceEncoder::SentencePieceEncoder(const SentencePieceFile& file, bool own_prefix,
                                           const std::string& where) {
    const bool by_words = can_cut(file);
    std::string model = file.serialized;
    if (by_words || !own_prefix) model += kNoDummyPrefix;
    library_ = std::make_unique<const Library>(model, where);
    if (by_words) words_ = std::make_unique<Words>();
    prefix_ = by_words && own_prefix && file.add_dummy_prefix;
}

SentencePieceEncoder::~SentencePieceEncoder() = default;

void SentencePieceEncoder::encode(std::string_view text, std::vector<Token>& tokens) const {
    if (text.empty()) return;
    if (!words_) {
        const std::vector<Token> ids = library_->encode(text);
        tokens.insert(tokens.end(), ids.begin(), ids.end());
        return;
    }
    if (prefix_) {
        const std::size_t first = word_length(text);
        encode_word(std::string(kSentencePieceBlank).append(text.substr(0, first)), tokens);
        text.remove_prefix(first);
    }
    while (!text.empty()) {
        const std::size_t length = word_length(text);
        encode_word(text.substr(0, length), tokens);
        text.remove_prefix(length);
    }
}

void SentencePieceEncoder::encode_word(std::string_view word, std::vector<Token>& tokens) const {
    if (words_->find(word, tokens)) return;
    std::vector<Token> ids = library_->encode(word);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    words_->add(word, std::move(ids));
}

std::string SentencePieceEncoder::bos() const { return library_->name_of(library_->processor().bos_id()); }

std::string SentencePieceEncoder::eos() const { return library_->name_of(library_->processor().eos_id()); }

std::string SentencePieceEncoder::unk() const { return library_->name_of(library_->processor().unk_id()); }

}  // namespace sluice
