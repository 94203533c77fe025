// Tokens that are recognised in the text itself, before it is pre-tokenised: the `added_tokens` of a
// tokenizer.json.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

struct AddedToken {
    Token id;
    std::string content;  // not empty
    bool special;
    bool single_word;  // only between characters that belong to no word
    bool lstrip;       // takes the blanks before it along
    bool rstrip;       // takes the blanks after it along
    bool normalized;   // looked for only in what the tokens that are not normalized have left
};

class AddedTokens {
public:
    explicit AddedTokens(std::vector<AddedToken> tokens);

    struct Part {
        std::string_view text;
        const AddedToken* token;  // nullptr: plain text
    };
    // The text from left to right; where several tokens begin at one place, the longest counts.
    std::vector<Part> split(std::string_view text) const;

    const std::vector<AddedToken>& tokens() const { return tokens_; }

private:
    // The tokens' contents as a tree of bytes.
    class Tree {
    public:
        void add(std::string_view content, std::size_t token);
        // The longest token at the start of `text`; -1: none.
        int longest_at_start(std::string_view text) const;

    private:
        std::unordered_map<std::uint64_t, std::uint32_t> next_;  // node << 8 | byte -> node
        std::vector<int> token_of_ = {-1};
    };
    void split_by(const Tree& tree, std::string_view text, std::vector<Part>& parts) const;

    std::vector<AddedToken> tokens_;
    Tree exact_;
    Tree normalized_;
};

}  // namespace sluice
