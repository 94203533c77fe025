#include "text/no_tokenizer.hpp"

#include "core/error.hpp"
#include "text/special_tokens.hpp"

#include <utility>

namespace sluice {
namespace {

class NoTokenizer final : public Tokenizer {
public:
    NoTokenizer(SpecialTokens special, Token vocabulary)
        : Tokenizer(std::move(special)), vocabulary_(vocabulary) {}

    std::vector<Token> encode(std::string_view) const override {
        fail(ExitCode::File, "the checkpoint has no tokenizer: give \"tokens\" instead of text");
    }
    std::string_view bytes_of(Token) const override { return {}; }
    bool is_special(Token) const override { return false; }
    std::optional<Token> id_of(std::string_view) const override { return std::nullopt; }
    Token vocab_size() const override { return vocabulary_; }

private:
    Token vocabulary_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_no_tokenizer(const TokenizerFiles& files, Token vocabulary) {
    const auto nameless = [](const std::string&) { return std::optional<Token>(); };
    return std::make_unique<NoTokenizer>(read_special_tokens(files, nameless, {}), vocabulary);
}

}  // namespace sluice
