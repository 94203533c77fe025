// The plainest tokenizer.
#pragma once

#include "text/tokenizer.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// One token for each byte, and 300 for a special token.
class ByteTokenizer final : public Tokenizer {
public:
    ByteTokenizer() : Tokenizer(SpecialTokens{}) {
        for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
    }
    std::vector<Token> encode(std::string_view text) const override {
        std::vector<Token> tokens;
        for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
        return tokens;
    }
    std::string_view bytes_of(Token token) const override {
        if (token == 300) return "<special>";
        return token >= 0 && token < 256 ? std::string_view(bytes_).substr(static_cast<std::size_t>(token), 1)
                                         : "";
    }
    std::optional<Token> id_of(std::string_view name) const override {
        return name == "<special>" ? std::optional<Token>(300) : std::nullopt;
    }
    bool is_special(Token token) const override { return token == 300; }
    Token vocab_size() const override { return 301; }

private:
    std::string bytes_ = std::string(256, '\0');
};

}  // namespace sluice
