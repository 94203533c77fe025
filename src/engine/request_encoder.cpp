#include "engine/request_encoder.hpp"

#include "core/error.hpp"
#include "text/chat_formats.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace sluice {
namespace {

// Where a token's name stands next in a text.
struct Cut {
    std::string_view name;  // empty: none
    Token token = 0;
    std::size_t at = std::string_view::npos;

    // Of two at one place the longer comes first.
    bool operator<(const Cut& other) const {
        return at != other.at ? at < other.at : name.size() > other.name.size();
    }
    void advance(std::string_view text, std::size_t from) {
        if (!name.empty() && (at < from || from == 0)) at = text.find(name, from);
    }
};

Cut cut_at(const Tokenizer& tokenizer, std::string_view name) {
    const std::optional<Token> token = tokenizer.id_of(name);
    return token ? Cut{name, *token} : Cut{};
}

}  // namespace

RequestEncoder::RequestEncoder(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat,
                               EncodeOptions options)
    : tokenizer_(tokenizer), chat_(std::move(chat)), options_(std::move(options)) {}

Encoded RequestEncoder::encode(const Request& request) const {
    const bool converses = std::holds_alternative<std::vector<Message>>(request.input) ||
                           (options_.chat && std::holds_alternative<std::string>(request.input));
    if (converses && !chat_) {
        return RequestError{"no_chat_template",
                            fmt::format("the checkpoint has no chat template: choose a format with "
                                        "--chat-format ({})",
                                        fmt::join(names_of(chat_formats()), ", "))};
    }
    std::vector<Token> tokens;
    try {
        if (const auto* given = std::get_if<std::vector<Token>>(&request.input)) {
            tokens = *given;
        } else if (const auto* messages = std::get_if<std::vector<Message>>(&request.input)) {
            tokens = encode_chat(*messages);
        } else {
            const auto& text = std::get<std::string>(request.input);
            tokens = options_.chat ? encode_chat({{"user", text}}) : encode_text(text);
        }
    } catch (const TemplateRefusal& refusal) {
        return RequestError{"template_refused", refusal.what()};
    } catch (const Error& problem) {
        return RequestError{"not_tokenized", problem.what()};
    }
    if (tokens.empty()) return RequestError{"empty_prompt", "the prompt has no tokens"};
    for (const Token token : tokens) {
        if (token >= 0 && token < options_.vocabulary) continue;
        return RequestError{"token_out_of_range", fmt::format("token {} is outside the vocabulary of {}",
                                                              token, options_.vocabulary)};
    }
    if (static_cast<std::int64_t>(tokens.size()) >= options_.longest) {
        return RequestError{
            "too_long", fmt::format("the prompt has {} tokens; prompt and completion together may have {} "
                                    "(--max-seq-len)",
                                    tokens.size(), options_.longest)};
    }
    return tokens;
}

std::vector<Token> RequestEncoder::encode_text(const std::string& text) const {
    std::vector<Token> tokens = tokenizer_.encode(text);
    const SpecialTokens& special = tokenizer_.special();
    if (options_.add_bos && special.add_bos && special.bos &&
        (tokens.empty() || tokens.front() != *special.bos)) {
        tokens.insert(tokens.begin(), *special.bos);
    }
    return tokens;
}

std::vector<Token> RequestEncoder::encode_chat(std::vector<Message> messages) const {
    const bool has_system =
        std::ranges::any_of(messages, [](const Message& m) { return m.role == "system"; });
    if (!options_.system.empty() && !has_system)
        messages.insert(messages.begin(), {"system", options_.system});
    const SpecialTokens& special = tokenizer_.special();
    const std::string text = chat_->prompt(messages, special.bos_text, special.eos_text);
    return tokenizer_.begins_with_blank() ? encode_sections(text) : tokenizer_.encode(text);
}

std::vector<Token> RequestEncoder::encode_sections(std::string_view text) const {
    Cut bos = cut_at(tokenizer_, tokenizer_.special().bos_text);
    Cut eos = cut_at(tokenizer_, tokenizer_.special().eos_text);
    std::vector<Token> tokens;
    for (std::size_t from = 0;;) {
        bos.advance(text, from);
        eos.advance(text, from);
        const Cut& next = std::min(bos, eos);
        std::string_view section = text.substr(from, next.at - from);
        if (section.starts_with(' ')) section.remove_prefix(1);  // encode() puts it there again
        const std::vector<Token> ids = tokenizer_.encode(section);
        tokens.insert(tokens.end(), ids.begin(), ids.end());
        if (next.at == std::string_view::npos) return tokens;
        tokens.push_back(next.token);
        from = next.at + next.name.size();
    }
}

}  // namespace sluice
