#include "engine/request_encoder.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {

RequestEncoder::RequestEncoder(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat,
                               EncodeOptions options)
    : tokenizer_(tokenizer), chat_(std::move(chat)), options_(std::move(options)) {}

std::variant<std::vector<Token>, RequestError> RequestEncoder::encode(const Request& request) const {
    const bool converses = std::holds_alternative<std::vector<Message>>(request.input) ||
                           (options_.chat && std::holds_alternative<std::string>(request.input));
    if (converses && !chat_) {
        return RequestError{"no_chat_template",
                            "the checkpoint has no chat template; only plain prompts can be served"};
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
    if (special.add_bos && special.bos && (tokens.empty() || tokens.front() != *special.bos)) {
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
    return encode_text(chat_->render(messages, true, special.bos_text, special.eos_text));
}

}  // namespace sluice
