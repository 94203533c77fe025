#include "text/detokenizer.hpp"

#include "text/utf8_decode.hpp"

namespace sluice {

std::string Detokenizer::push(Token token) {
    if (skip_special_ && tokenizer_->is_special(token)) return {};
    const DecodeRules& rules = tokenizer_->decode_rules();
    const std::string_view bytes =
        at_start_ ? tokenizer_->bytes_at_start(token) : tokenizer_->bytes_of(token);
    if (at_start_) at_start_ = (rules.start_lasts ? bytes : tokenizer_->bytes_of(token)).empty();
    if (bytes.empty() && rules.bytes_stand_alone) return finish();
    std::string text;
    pending_ += bytes;
    const std::size_t held_back = append_complete_utf8(pending_, text, rules.bytes_stand_alone);
    pending_.erase(0, pending_.size() - held_back);
    return text;
}

std::string Detokenizer::finish() {
    std::string text;
    append_replacement(pending_.size(), text, tokenizer_->decode_rules().bytes_stand_alone);
    pending_.clear();
    return text;
}

}  // namespace sluice
