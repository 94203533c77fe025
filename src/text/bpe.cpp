#include "text/bpe.hpp"

#include "core/json.hpp"
#include "text/utf8_decode.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <unordered_set>

namespace sluice {
namespace {

constexpr std::uint32_t kEmpty = std::numeric_limits<std::uint32_t>::max();

// Bytes that spell themselves; the others are spelled U+0100, U+0101, ... in ascending order.
bool spells_itself(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteAlphabet {
    std::array<char32_t, 256> spelling{};
    std::array<int, 0x144> byte{};  // by code point; -1: none

    ByteAlphabet() {
        byte.fill(-1);
        char32_t next = 0x100;
        for (unsigned value = 0; value < 256; ++value) {
            spelling[value] = spells_itself(value) ? value : next++;
            byte[spelling[value]] = static_cast<int>(value);
        }
    }
};

const ByteAlphabet& byte_alphabet() {
    static const ByteAlphabet alphabet;
    return alphabet;
}

// These bytes occur in no UTF-8 text.
bool never_in_utf8(unsigned byte) { return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5; }

std::uint64_t pair_of(Token left, Token right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
           static_cast<std::uint32_t>(right);
}

std::size_t scatter(std::uint64_t pair) {
    pair *= 0x9E3779B97F4A7C15U;  // Fibonacci hashing; the high bits are the good ones
    return pair ^ (pair >> 32);
}

void refuse_options(const Json& model, const std::string& where) {
    const auto text_of = [&](const char* key) {
        return model.contains(key) && model[key].is_string() ? model[key].get<std::string>() : std::string();
    };
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        require(text_of(key).empty(), ExitCode::Checkpoint, "{}: model.{} is not supported", where, key);
    }
    const bool drops = model.contains("dropout") && model["dropout"].is_number() && model["dropout"] != 0;
    require(!drops, ExitCode::Checkpoint, "{}: model.dropout is not supported", where);
}

// A merge is "left right" or ["left", "right"].
std::pair<std::string, std::string> read_merge(const Json& entry, const std::string& where) {
    if (entry.is_array() && entry.size() == 2) return {entry[0], entry[1]};
    const std::string text = entry.is_string() ? entry.get<std::string>() : std::string();
    const std::size_t blank = text.find(' ');
    require(blank != std::string::npos && blank == text.rfind(' '), ExitCode::Checkpoint,
            "{}: the merge {} is neither \"left right\" nor [\"left\", \"right\"]", where, entry.dump());
    return {text.substr(0, blank), text.substr(blank + 1)};
}

}  // namespace

std::optional<std::string> bytes_of_byte_level(std::string_view spelling) {
    std::string bytes;
    while (!spelling.empty()) {
        const char32_t code_point = take_utf8(spelling);
        const int byte = code_point < byte_alphabet().byte.size() ? byte_alphabet().byte[code_point] : -1;
        if (byte < 0) return std::nullopt;
        bytes += static_cast<char>(byte);
    }
    return bytes;
}

std::string byte_level_of_bytes(std::string_view bytes) {
    std::string spelling;
    for (const char byte : bytes)
        append_utf8(byte_alphabet().spelling[static_cast<unsigned char>(byte)], spelling);
    return spelling;
}

BpeModel::BpeModel(const Json& model, const std::string& where) {
    const std::string type = model.value("type", "BPE");
    require(type == "BPE", ExitCode::Checkpoint, "{}: the model {} is not supported, only BPE", where, type);
    refuse_options(model, where);
    for (const char* key : {"vocab", "merges"}) {
        require(model.contains(key), ExitCode::Checkpoint, "{}: model.{} is missing", where, key);
    }
    read_vocabulary(model["vocab"], where);
    read_merges(model["merges"], where);
    find_whole_tokens(model.value("ignore_merges", false));
}

BpeModel::BpeModel(const std::vector<std::string>& tokens, const std::string& where) {
    std::unordered_map<std::string_view, Token> ids;
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        require(ids.emplace(tokens[id], static_cast<Token>(id)).second, ExitCode::Checkpoint,
                "{}: the token of rank {} stands twice", where, id);
        vocabulary_.emplace(byte_level_of_bytes(tokens[id]), static_cast<Token>(id));
    }
    find_byte_tokens(where);
    std::vector<Merge> merges;
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        const std::string_view whole = tokens[id];
        expect(!whole.empty() && whole.size() <= kMaxRankedBytes, "a ranked token of {} bytes", whole.size());
        for (std::size_t cut = 1; cut < whole.size(); ++cut) {
            const auto left = ids.find(whole.substr(0, cut));
            if (left == ids.end()) continue;
            const auto right = ids.find(whole.substr(cut));
            if (right == ids.end()) continue;
            merges.push_back({pair_of(left->second, right->second), static_cast<std::uint32_t>(id),
                              static_cast<Token>(id)});
        }
    }
    make_room_for_merges(merges.size());
    for (const Merge& merge : merges) add_merge(merge);
    find_whole_tokens(true);
}

void BpeModel::read_vocabulary(const Json& vocabulary, const std::string& where) {
    require(vocabulary.is_object(), ExitCode::Checkpoint, "{}: model.vocab is not an object", where);
    std::unordered_set<Token> seen;
    for (const auto& [spelling, value] : vocabulary.items()) {
        const std::int64_t id = value.is_number_integer() ? value.get<std::int64_t>() : -1;
        require(id >= 0 && id < kMaxTokens, ExitCode::Checkpoint,
                "{}: model.vocab gives \"{}\" the id {}; ids are whole numbers from 0 to {}", where, spelling,
                value.dump(), kMaxTokens - 1);
        require(seen.insert(static_cast<Token>(id)).second, ExitCode::Checkpoint,
                "{}: model.vocab gives the id {} twice, once to \"{}\"", where, id, spelling);
        vocabulary_.emplace(spelling, static_cast<Token>(id));
    }
    find_byte_tokens(where);
}

void BpeModel::find_byte_tokens(const std::string& where) {
    for (unsigned byte = 0; byte < 256; ++byte) {
        const std::string spelling = byte_level_of_bytes(std::string(1, static_cast<char>(byte)));
        const auto found = vocabulary_.find(spelling);
        require(found != vocabulary_.end() || never_in_utf8(byte), ExitCode::Checkpoint,
                "{}: the vocabulary has no token for the byte 0x{:02x} (\"{}\"), so it is not byte-level",
                where, byte, spelling);
        byte_tokens_[byte] = found != vocabulary_.end() ? found->second : -1;
    }
}

void BpeModel::read_merges(const Json& merges, const std::string& where) {
    require(merges.is_array(), ExitCode::Checkpoint, "{}: model.merges is not a list", where);
    const auto id_of = [&](const std::string& spelling, const Json& entry) {
        const auto found = vocabulary_.find(spelling);
        require(found != vocabulary_.end(), ExitCode::Checkpoint,
                "{}: the merge {} needs the token \"{}\", which model.vocab lacks", where, entry.dump(),
                spelling);
        return found->second;
    };
    make_room_for_merges(merges.size());
    for (const Json& entry : merges) {
        if (entry.is_string() && entry.get_ref<const std::string&>().starts_with("#version")) continue;
        const auto [left, right] = read_merge(entry, where);
        const Token left_id = id_of(left, entry);
        const std::uint64_t pair = pair_of(left_id, id_of(right, entry));
        add_merge({pair, static_cast<std::uint32_t>(merges_.size()), id_of(left + right, entry)});
    }
}

void BpeModel::make_room_for_merges(std::size_t count) {
    std::size_t size = 16;
    while (size < count * 2) size *= 2;
    slots_.assign(size, kEmpty);
    merges_.reserve(count);
}

void BpeModel::add_merge(const Merge& merge) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = scatter(merge.pair) & mask;
    while (slots_[slot] != kEmpty && merges_[slots_[slot]].pair != merge.pair) slot = (slot + 1) & mask;
    slots_[slot] =
        static_cast<std::uint32_t>(merges_.size());  // of a pair that stands twice, the later counts
    merges_.push_back(merge);
}

void BpeModel::find_whole_tokens(bool ignore_merges) {
    std::vector<Token> ids;
    std::vector<Token> merged;
    for (const auto& [spelling, id] : vocabulary_) {
        std::optional<std::string> bytes = bytes_of_byte_level(spelling);
        if (!bytes || bytes->empty()) continue;
        if (!ignore_merges) {
            const bool has_tokens = std::all_of(bytes->begin(), bytes->end(), [&](char c) {
                return byte_tokens_[static_cast<unsigned char>(c)] >= 0;
            });
            merged.clear();
            if (has_tokens) merge_pairs(*bytes, merged);
            if (merged.size() != 1 || merged[0] != id) continue;
        }
        whole_bytes_.push_back(std::move(*bytes));
        ids.push_back(id);
    }
    whole_.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) whole_.emplace(whole_bytes_[i], ids[i]);
}

const BpeModel::Merge* BpeModel::find_merge(Token left, Token right) const {
    const std::uint64_t pair = pair_of(left, right);
    for (std::size_t slot = scatter(pair) & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
        if (slots_[slot] == kEmpty) return nullptr;
        const Merge& merge = merges_[slots_[slot]];
        if (merge.pair == pair) return &merge;
    }
}

void BpeModel::encode(std::string_view piece, std::vector<Token>& tokens) const {
    const auto whole = whole_.find(piece);
    if (whole != whole_.end()) {
        tokens.push_back(whole->second);
    } else {
        merge_pairs(piece, tokens);
    }
}

void BpeModel::merge_pairs(std::string_view piece, std::vector<Token>& tokens) const {
    struct Symbol {
        Token token;
        std::uint32_t previous;
        std::uint32_t next;
    };
    require(piece.size() < static_cast<std::size_t>(std::numeric_limits<Token>::max()), ExitCode::File,
            "a piece of text of {} bytes without a place to split it is too long", piece.size());
    const auto size = static_cast<std::uint32_t>(piece.size());
    thread_local std::vector<Symbol> symbols;  // kept: most pieces are a few bytes, allocating would dominate
    thread_local std::vector<std::uint64_t> heap;  // rank << 32 | position, so the smallest comes first
    symbols.clear();
    heap.clear();
    for (std::uint32_t i = 0; i < size; ++i) {
        symbols.push_back({byte_tokens_[static_cast<unsigned char>(piece[i])], i - 1, i + 1});
    }
    const auto candidate = [&](std::uint32_t left) -> const Merge* {
        const std::uint32_t right = symbols[left].next;
        return right < size ? find_merge(symbols[left].token, symbols[right].token) : nullptr;
    };
    const auto entry = [](const Merge& merge, std::uint32_t at) {
        return std::uint64_t{merge.rank} << 32 | at;
    };
    for (std::uint32_t i = 0; i < size; ++i) {
        if (const Merge* merge = candidate(i)) heap.push_back(entry(*merge, i));
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    const auto push = [&](std::uint32_t left) {
        const Merge* merge = candidate(left);
        if (merge == nullptr) return;
        heap.push_back(entry(*merge, left));
        std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        const auto at = static_cast<std::uint32_t>(heap.back());
        const auto rank = static_cast<std::uint32_t>(heap.back() >> 32);
        heap.pop_back();
        Symbol& left = symbols[at];
        if (left.token < 0) continue;  // merged away since the entry was made
        const Merge* merge = candidate(at);
        if (merge == nullptr || merge->rank != rank) continue;  // a neighbour has changed
        Symbol& right = symbols[left.next];
        left.token = merge->result;
        left.next = right.next;
        right.token = -1;
        if (left.next < size) symbols[left.next].previous = at;
        if (left.previous < size) push(left.previous);
        push(at);
    }
    for (std::uint32_t at = 0; at < size; at = symbols[at].next) tokens.push_back(symbols[at].token);
}

}  // namespace sluice
