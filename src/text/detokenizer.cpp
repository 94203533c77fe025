#include "text/detokenizer.hpp"

#include "text/utf8_decode.hpp"

namespace sluice {

std::string Detokenizer::push(Token token) {
    std::string text;
    if (skip_special_ && tokenizer_->is_special(token)) return text;
    pending_ += tokenizer_->bytes_of(token);
    const std::size_t held_back = append_complete_utf8(pending_, text);
    pending_.erase(0, pending_.size() - held_back);
    return text;
}

std::string Detokenizer::finish() {
    std::string text(pending_.empty() ? std::string_view() : kReplacementCharacter);
    pending_.clear();
    return text;
}

}  // namespace sluice
