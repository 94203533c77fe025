// Byte pair encoding over bytes: the `model` of a tokenizer.json, or tokens by rank.
#pragma once

#include "text/request.hpp"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

inline constexpr Token kMaxTokens = 1 << 20;  // tables by id stay small whatever a file says

inline constexpr std::size_t kMaxRankedBytes = 1024;

// The bytes behind a byte-level token's printable spelling; nothing when a character is not of that alphabet.
std::optional<std::string> bytes_of_byte_level(std::string_view spelling);

// The other way.
std::string byte_level_of_bytes(std::string_view bytes);

class BpeModel {
public:
    // Errors: ExitCode::Checkpoint, naming `where` and the entry.
    BpeModel(const nlohmann::json& model, const std::string& where);
    // From tokens whose id is their rank: a pair is merged when the two together are a token, the pair of the
    // lowest token first, and a piece that is a token needs no merging. Tokens have 1 to kMaxRankedBytes
    // bytes. Errors: ExitCode::Checkpoint, naming `where`: a token stands twice, or a byte has none.
    BpeModel(const std::vector<std::string>& tokens, const std::string& where);
    BpeModel(const BpeModel&) = delete;
    BpeModel& operator=(const BpeModel&) = delete;

    // Appends the ids of one piece (raw bytes of UTF-8 text). Merges the pair of the lowest rank first, the
    // leftmost of equals; O(n log n) in the piece's length, which is at most 2^31 - 1.
    void encode(std::string_view piece, std::vector<Token>& tokens) const;

    // The spelling of each token of the vocabulary.
    const std::unordered_map<std::string, Token>& vocabulary() const { return vocabulary_; }

private:
    struct Merge {
        std::uint64_t pair;
        std::uint32_t rank;
        Token result;
    };
    void read_vocabulary(const nlohmann::json& vocabulary, const std::string& where);
    void find_byte_tokens(const std::string& where);
    void read_merges(const nlohmann::json& merges, const std::string& where);
    void make_room_for_merges(std::size_t count);
    void add_merge(const Merge& merge);
    void find_whole_tokens(bool ignore_merges);
    const Merge* find_merge(Token left, Token right) const;
    void merge_pairs(std::string_view piece, std::vector<Token>& tokens) const;

    std::unordered_map<std::string, Token> vocabulary_;
    std::array<Token, 256> byte_tokens_{};
    std::vector<Merge> merges_;
    std::vector<std::uint32_t> slots_;                   // hash table of merges, open addressing
    std::vector<std::string> whole_bytes_;               // owns the keys of whole_
    std::unordered_map<std::string_view, Token> whole_;  // pieces that are one token: no merging needed
};

}  // namespace sluice
