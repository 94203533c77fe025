#include "text/token_logprobs.hpp"

#include "text/request_json.hpp"
#include "text/utf8_decode.hpp"

#include <fmt/ranges.h>

#include <cmath>

namespace sluice {
namespace {

// Not decode(), for which a token alone is a text's beginning, without the blank of that place.
std::string text_of(const Tokenizer& tokenizer, Token token) {
    const bool each_byte = tokenizer.decode_rules().bytes_stand_alone;
    std::string text;
    append_replacement(append_complete_utf8(tokenizer.bytes_of(token), text, each_byte), text, each_byte);
    return text;
}

std::string members_of(const Tokenizer& tokenizer, const TokenLogprob& token) {
    return fmt::format(R"("id":{},"token":{},"logprob":{})", token.token,
                       to_json_string(text_of(tokenizer, token.token)), to_json_number(token.logprob));
}

}  // namespace

std::string to_json_number(float value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::string to_json_number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

std::string to_json(const Tokenizer& tokenizer, const std::vector<TokenLogprob>& tokens) {
    std::vector<std::string> items;
    for (const TokenLogprob& token : tokens)
        items.push_back(fmt::format("{{{}}}", members_of(tokenizer, token)));
    return fmt::format("[{}]", fmt::join(items, ","));
}

std::string to_json(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions) {
    std::vector<std::string> items;
    for (const PositionLogprobs& position : positions)
        items.push_back(fmt::format(R"({{{},"top":{}}})", members_of(tokenizer, position.chosen),
                                    to_json(tokenizer, position.top)));
    return fmt::format("[{}]", fmt::join(items, ","));
}

}  // namespace sluice
