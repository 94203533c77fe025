#include "text/sentencepiece_tokenizer.hpp"

#include "core/json.hpp"
#include "text/sentencepiece_encoder.hpp"
#include "text/special_tokens.hpp"
#include "text/utf8_decode.hpp"

#include <unordered_map>

namespace sluice {
namespace {

using Kind = SentencePieceFile::Kind;

const std::string kFile = "tokenizer.model";

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string result;
    for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
        result.append(text.substr(0, at)).append(to);
        text.remove_prefix(at + from.size());
    }
    return result.append(text);
}

// How transformers' LlamaTokenizer goes about a text.
struct TextRules {
    bool by_names = false;  // the files name tokens to recognise; otherwise the library gets the whole text
    // Not legacy: one blank before the text, none after an added token; the blank is dropped again before a
    // token with a part to play. Legacy: the library's own, before every stretch of plain text.
    bool legacy = true;
    bool add_prefix_space = true;
};

TextRules read_rules(const TokenizerFiles& files) {
    TextRules rules;
    const auto found = files.files.find("tokenizer_config.json");
    rules.by_names = found != files.files.end() || files.files.contains("special_tokens_map.json") ||
                     files.files.contains("added_tokens.json");
    if (found == files.files.end()) return rules;
    const Json config = parse_json(found->second, found->first, ExitCode::Checkpoint);
    const auto flag = [&](const char* key, bool absent) {
        return config.contains(key) && config[key].is_boolean() ? config[key].get<bool>() : absent;
    };
    rules.legacy = flag("legacy", true);
    rules.add_prefix_space = flag("add_prefix_space", true);
    return rules;
}

struct Parts {
    std::unique_ptr<const SentencePieceEncoder> encoder;
    SentencePieceFile file;
    AddedNames names;
    TextRules rules;
    std::string unk_name;
    Token blank = -1;  // U+2581's; -1: none
};

class SentencePieceTokenizer final : public Tokenizer {
public:
    SentencePieceTokenizer(Parts parts, SpecialTokens ends)
        : Tokenizer(std::move(ends), {true, parts.file.remove_extra_whitespaces}),
          encoder_(std::move(parts.encoder)),
          added_(parts.names.tokens),
          named_(std::move(parts.names.named)),
          rules_(parts.rules),
          unk_name_(std::move(parts.unk_name)),
          blank_(parts.blank),
          begins_with_blank_(rules_.by_names && !rules_.legacy ? rules_.add_prefix_space
                                                               : parts.file.add_dummy_prefix) {
        const bool removes = (!rules_.by_names || rules_.legacy) && parts.file.remove_extra_whitespaces;
        const bool drops = begins_with_blank_ || removes;
        for (const auto& piece : parts.file.pieces) add_piece(piece, parts.file.unk_surface, drops);
        for (const AddedToken& token : added_.tokens()) add_name(token);
        for (const Token token : named_) set_special(token);
        if (special().bos) set_special(*special().bos);
        for (const Token token : special().eos) set_special(token);
    }

    std::vector<Token> encode(std::string_view text) const override {
        const std::size_t invalid = find_invalid_utf8(text);
        require(invalid == std::string_view::npos, ExitCode::File, "the text is not UTF-8: byte {} (from 0)",
                invalid);
        if (text.empty()) return {};
        if (!rules_.by_names || rules_.legacy) return encode_parts(text);
        std::string prepared = rules_.add_prefix_space ? std::string(kSentencePieceBlank) : std::string();
        prepared += replaced(text, kSentencePieceBlank, " ");
        std::vector<Token> tokens = encode_parts(prepared);
        if (tokens.size() > 1 && tokens[0] == blank_ && named_.contains(tokens[1])) {
            tokens.erase(tokens.begin());
        }
        return tokens;
    }

    std::string_view bytes_of(Token token) const override {
        return knows(token) ? std::string_view(entries_[static_cast<std::size_t>(token)].bytes)
                            : std::string_view();
    }

    std::string_view bytes_at_start(Token token) const override {
        std::string_view bytes = bytes_of(token);
        if (knows(token) && entries_[static_cast<std::size_t>(token)].drops_blank) bytes.remove_prefix(1);
        return bytes;
    }

    bool is_special(Token token) const override {
        return knows(token) && entries_[static_cast<std::size_t>(token)].special;
    }

    std::optional<Token> id_of(std::string_view name) const override {
        const auto found = names_.find(std::string(name));
        return found != names_.end() ? std::optional(found->second) : std::nullopt;
    }

    bool begins_with_blank() const override { return begins_with_blank_; }

    Token vocab_size() const override { return static_cast<Token>(entries_.size()); }

private:
    struct Entry {
        std::string bytes;
        bool drops_blank = false;  // at the start of a text
        bool special = false;
    };

    bool knows(Token token) const { return token >= 0 && static_cast<std::size_t>(token) < entries_.size(); }

    void add_piece(const SentencePieceFile::Piece& piece, const std::string& unk_surface, bool drops) {
        Entry entry;
        switch (piece.kind) {
            case Kind::Control: entry.special = true; break;
            case Kind::Unknown: entry.bytes = unk_surface; break;
            case Kind::Byte:  // "<0x41>": the library has checked it
                entry.bytes = static_cast<char>(std::stoi(piece.text.substr(3, 2), nullptr, 16));
                break;
            default:
                entry.bytes = replaced(piece.text, kSentencePieceBlank, " ");
                entry.drops_blank = drops && piece.text.starts_with(kSentencePieceBlank);
        }
        if (piece.kind == Kind::Control || piece.kind == Kind::UserDefined)
            names_.emplace(piece.text, static_cast<Token>(entries_.size()));
        entries_.push_back(std::move(entry));
    }

    // Inside the model's pieces, a piece stays what the model makes of it.
    void add_name(const AddedToken& token) {
        const auto index = static_cast<std::size_t>(token.id);
        if (index >= entries_.size()) {
            entries_.resize(index + 1);
            entries_[index].bytes = token.content;
        }
        names_[token.content] = token.id;
        if (token.special) set_special(token.id);
    }

    void set_special(Token token) {
        if (knows(token)) entries_[static_cast<std::size_t>(token)].special = true;
    }

    std::vector<Token> encode_parts(std::string_view text) const {
        std::vector<Token> tokens;
        for (const AddedTokens::Part& part : added_.split(text)) {
            if (part.token != nullptr) {
                tokens.push_back(part.token->id);
            } else {
                encode_plain(part.text, tokens);
            }
        }
        return tokens;
    }

    std::size_t pieces_of(std::string_view text) const {
        std::vector<Token> tokens;
        encoder_->encode(text, tokens);
        return tokens.size();
    }

    // The library may take off blanks at the beginning, or join them with what is before: where this matters,
    // they stand behind a word whose pieces are taken off again.
    void encode_plain(std::string_view text, std::vector<Token>& tokens) const {
        const bool begins_blank = text.starts_with(kSentencePieceBlank) || text.starts_with(' ');
        if (!rules_.by_names || rules_.legacy || !begins_blank || encoder_->words_are_independent()) {
            return encoder_->encode(text, tokens);
        }
        std::vector<Token> ids;
        encoder_->encode(unk_name_ + std::string(text), ids);
        const std::size_t before = pieces_of(unk_name_);
        const std::size_t skipped = ids.size() >= before ? before : 0;
        tokens.insert(tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(skipped), ids.end());
    }

    std::unique_ptr<const SentencePieceEncoder> encoder_;
    AddedTokens added_;
    std::set<Token> named_;
    TextRules rules_;
    std::string unk_name_;
    Token blank_;
    bool begins_with_blank_;
    std::unordered_map<std::string, Token> names_;  // of added tokens, control and user-defined pieces
    std::vector<Entry> entries_;                    // by id
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const TokenizerFiles& files) {
    Parts parts;
    parts.file = read_sentencepiece_file(files.files.at(kFile), kFile);
    parts.rules = read_rules(files);
    parts.encoder = std::make_unique<const SentencePieceEncoder>(
        parts.file, !parts.rules.by_names || parts.rules.legacy, kFile);
    parts.file.serialized.clear();

    std::unordered_map<std::string, Token> ids;
    for (std::size_t id = 0; id < parts.file.pieces.size(); ++id) {
        ids.emplace(parts.file.pieces[id].text, static_cast<Token>(id));
    }
    const auto find = [&](const std::string& name) {
        const auto found = ids.find(name);
        return found != ids.end() ? std::optional(found->second) : std::nullopt;
    };
    parts.blank = find(std::string(kSentencePieceBlank)).value_or(-1);
    parts.unk_name = parts.encoder->unk();
    OwnEnds own;
    own.bos = parts.encoder->bos();
    if (const std::string eos = parts.encoder->eos(); !eos.empty()) own.eos = {eos};
    // Code that reads such a model without further files tells the models that want bos by its name; the
    // files' own default is to add it.
    own.add_bos = !own.bos.empty() && (parts.rules.by_names || own.bos == "<s>");
    if (parts.rules.by_names) {
        parts.names = read_added_names(
            files, find,
            {{"bos_token", own.bos}, {"eos_token", parts.encoder->eos()}, {"unk_token", parts.unk_name}});
    }
    SpecialTokens ends = read_special_tokens(
        files,
        [&](const std::string& name) {
            for (const AddedToken& token : parts.names.tokens) {
                if (token.content == name) return std::optional(token.id);
            }
            return find(name);
        },
        own);
    return std::make_unique<SentencePieceTokenizer>(std::move(parts), std::move(ends));
}

}  // namespace sluice
