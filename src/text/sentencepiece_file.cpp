#include "text/sentencepiece_file.hpp"

#include "core/error.hpp"
#include "text/bpe.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

namespace sluice {
namespace {

// The library keeps the user-defined pieces that begin at one place in an array of this size.
constexpr std::size_t kMaxNestedPieces = 64;
constexpr std::uint64_t kBpe = 2;

// One field of a protobuf message (protobuf.dev/programming-guides/encoding).
struct Field {
    enum Wire { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
    std::uint64_t number;
    std::uint64_t wire;
    std::uint64_t value;     // Varint, Fixed32, Fixed64
    std::string_view bytes;  // Bytes
    std::string_view whole;  // with its tag
};

class Message {
public:
    Message(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

    std::optional<Field> next() {
        if (rest_.empty()) return std::nullopt;
        const std::string_view start = rest_;
        const std::uint64_t tag = varint();
        Field field{tag >> 3, tag & 7, 0, {}, {}};
        switch (field.wire) {
            case Field::Varint: field.value = varint(); break;
            case Field::Fixed64: field.value = fixed(8); break;
            case Field::Bytes: field.bytes = take(varint()); break;
            case Field::Fixed32: field.value = fixed(4); break;
            default: refuse();
        }
        require(field.number > 0, ExitCode::Checkpoint, "{}: not a SentencePiece model: a field has number 0",
                where_);
        field.whole = start.substr(0, start.size() - rest_.size());
        return field;
    }

private:
    [[noreturn]] void refuse() const {
        fail(ExitCode::Checkpoint,
             "{}: not a SentencePiece model, or cut short: a field is broken {} bytes before the end of its "
             "message",
             where_, rest_.size());
    }

    std::string_view take(std::uint64_t size) {
        if (size > rest_.size()) refuse();
        const std::string_view bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return bytes;
    }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<unsigned char>(take(1)[0]);
            value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
            if (byte < 0x80) return value;
        }
        refuse();
    }

    std::uint64_t fixed(std::size_t size) {
        const std::string_view bytes = take(size);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; ++i) {
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
        }
        return value;
    }

    std::string_view rest_;
    const std::string& where_;
};

class Reader {
public:
    explicit Reader(const std::string& where) : where_(where) {}

    SentencePieceFile run(std::string_view bytes) {
        Message message(bytes, where_);
        while (const auto field = message.next()) {
            if (field->wire == Field::Bytes) {
                switch (field->number) {
                    case 1: read_piece(field->bytes); break;
                    case 2: read_training(field->bytes); break;
                    case 3: read_normalizer(field->bytes); break;
                    case 4: continue;  // self-tests
                    case 5: refuse_rules(field->bytes); break;
                    default: break;
                }
            }
            file_.serialized += field->whole;
        }
        require(!file_.pieces.empty(), ExitCode::Checkpoint,
                "{}: not a SentencePiece model: it has no pieces", where_);
        require(model_type_ == kBpe, ExitCode::Checkpoint,
                "{}: the model type {} is not supported, only BPE ({})", where_, model_type_, kBpe);
        refuse_deep_nesting();
        return std::move(file_);
    }

private:
    void read_piece(std::string_view bytes) {
        const std::size_t id = file_.pieces.size();
        require(id < static_cast<std::size_t>(kMaxTokens), ExitCode::Checkpoint,
                "{}: more than {} pieces are not supported", where_, kMaxTokens);
        SentencePieceFile::Piece piece;
        float score = 0;
        Message message(bytes, where_);
        while (const auto field = message.next()) {
            if (field->number == 1 && field->wire == Field::Bytes) piece.text = field->bytes;
            if (field->number == 2 && field->wire == Field::Fixed32)
                score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
            if (field->number == 3 && field->wire == Field::Varint && field->value >= 1 && field->value <= 6)
                piece.kind = static_cast<SentencePieceFile::Kind>(field->value);
        }
        require(!piece.text.empty() && is_valid_utf8(piece.text), ExitCode::Checkpoint, "{}: piece {} is {}",
                where_, id, piece.text.empty() ? "empty" : "not UTF-8");
        require(!std::isnan(score), ExitCode::Checkpoint, "{}: the score of piece {} is not a number", where_,
                id);
        // The library keeps these as strings that end with a zero byte.
        require(
            piece.kind != SentencePieceFile::Kind::UserDefined || piece.text.find('\0') == std::string::npos,
            ExitCode::Checkpoint, "{}: the user-defined piece {} holds a zero byte", where_, id);
        file_.pieces.push_back(std::move(piece));
    }

    void read_training(std::string_view bytes) {
        Message message(bytes, where_);
        while (const auto field = message.next()) {
            if (field->number == 3 && field->wire == Field::Varint) model_type_ = field->value;
            if (field->number == 24 && field->wire == Field::Varint)
                file_.treat_whitespace_as_suffix = field->value != 0;
            if (field->number == 35 && field->wire == Field::Varint) file_.byte_fallback = field->value != 0;
            if (field->number == 44 && field->wire == Field::Bytes) file_.unk_surface = field->bytes;
        }
        require(is_valid_utf8(file_.unk_surface), ExitCode::Checkpoint, "{}: unk_surface is not UTF-8",
                where_);
    }

    void read_normalizer(std::string_view bytes) {
        refuse_rules(bytes);
        Message message(bytes, where_);
        while (const auto field = message.next()) {
            if (field->wire != Field::Varint) continue;
            if (field->number == 3) file_.add_dummy_prefix = field->value != 0;
            if (field->number == 4) file_.remove_extra_whitespaces = field->value != 0;
            if (field->number == 5) file_.escape_whitespaces = field->value != 0;
        }
    }

    void refuse_rules(std::string_view normalizer) const {
        std::string_view name = "without a name";
        bool has_rules = false;
        Message message(normalizer, where_);
        while (const auto field = message.next()) {
            if (field->wire != Field::Bytes) continue;
            if (field->number == 1) name = field->bytes;
            if (field->number == 2) has_rules = has_rules || !field->bytes.empty();
        }
        require(!has_rules, ExitCode::Checkpoint,
                "{}: the normaliser {} has rules; only identity, which has none, is supported", where_,
                repair_utf8(name));
    }

    void refuse_deep_nesting() const {
        std::vector<std::string_view> texts;
        for (const auto& piece : file_.pieces) {
            if (piece.kind == SentencePieceFile::Kind::UserDefined) texts.push_back(piece.text);
        }
        std::ranges::sort(texts);
        std::vector<std::string_view> open;  // each begins with the one before
        for (const std::string_view text : texts) {
            while (!open.empty() && !text.starts_with(open.back())) open.pop_back();
            open.push_back(text);
            require(open.size() <= kMaxNestedPieces, ExitCode::Checkpoint,
                    "{}: more than {} user-defined pieces begin with one another", where_, kMaxNestedPieces);
        }
    }

    const std::string& where_;
    SentencePieceFile file_;
    std::uint64_t model_type_ = 1;
};

}  // namespace

SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& where) {
    return Reader(where).run(bytes);
}

}  // namespace sluice
