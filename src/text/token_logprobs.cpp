#include "text/token_logprobs.hpp"

#include "text/request_json.hpp"
#include "text/utf8.hpp"
#include "text/utf8_decode.hpp"

#include <fmt/ranges.h>

#include <algorithm>
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

// ---- the APIs' shapes ----

std::string api_number(float value) { return std::isfinite(value) ? fmt::format("{}", value) : "-9999"; }

std::string chat_members(const Tokenizer& tokenizer, const TokenLogprob& token) {
    std::vector<int> bytes;
    for (const char c : tokenizer.bytes_of(token.token)) bytes.push_back(static_cast<unsigned char>(c));
    return fmt::format(R"("token":{},"logprob":{},"bytes":[{}])",
                       to_json_string(text_of(tokenizer, token.token)), api_number(token.logprob),
                       fmt::join(bytes, ","));
}

std::string chat_logprobs(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions) {
    std::vector<std::string> items;
    for (const PositionLogprobs& position : positions) {
        std::vector<std::string> top;
        for (const TokenLogprob& token : position.top)
            top.push_back(fmt::format("{{{}}}", chat_members(tokenizer, token)));
        items.push_back(fmt::format(R"({{{},"top_logprobs":[{}]}})", chat_members(tokenizer, position.chosen),
                                    fmt::join(top, ",")));
    }
    return fmt::format(R"({{"content":[{}],"refusal":null}})", fmt::join(items, ","));
}

// The token's text, as a string and as the name of a member.
std::string name_of(const Tokenizer& tokenizer, Token token) {
    const std::string_view bytes = tokenizer.bytes_of(token);
    if (is_valid_utf8(bytes)) return to_json_string(bytes);
    std::string name = "bytes:";
    for (const char c : bytes) name += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    return to_json_string(name);
}

std::string top_logprobs(const Tokenizer& tokenizer, const std::vector<TokenLogprob>& tokens) {
    std::vector<std::string> names, members;
    for (const TokenLogprob& token : tokens) {
        const std::string name = name_of(tokenizer, token.token);
        if (std::ranges::find(names, name) != names.end()) continue;
        names.push_back(name);
        members.push_back(fmt::format("{}:{}", name, api_number(token.logprob)));
    }
    return fmt::format("{{{}}}", fmt::join(members, ","));
}

std::size_t characters_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string completions_logprobs(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions) {
    std::vector<std::string> tokens, logprobs, tops;
    std::vector<std::size_t> offsets;
    std::size_t offset = 0;
    for (const PositionLogprobs& position : positions) {
        tokens.push_back(name_of(tokenizer, position.chosen.token));
        logprobs.push_back(api_number(position.chosen.logprob));
        tops.push_back(top_logprobs(tokenizer, position.top));
        offsets.push_back(offset);
        offset += characters_of(tokenizer.bytes_of(position.chosen.token));
    }
    return fmt::format(R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})",
                       fmt::join(tokens, ","), fmt::join(logprobs, ","), fmt::join(tops, ","),
                       fmt::join(offsets, ","));
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

std::string logprobs_json(const Tokenizer& tokenizer, const std::vector<PositionLogprobs>& positions,
                          Api api) {
    switch (api) {
        case Api::None: return to_json(tokenizer, positions);
        case Api::Chat: return chat_logprobs(tokenizer, positions);
        case Api::Completions: return completions_logprobs(tokenizer, positions);
    }
    return "";
}

}  // namespace sluice
