// From a request to the tokens its completion follows.
#pragma once

#include "text/chat_template.hpp"
#include "text/request.hpp"
#include "text/tokenizer.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

struct EncodeOptions {
    bool chat = false;    // plain prompts too become a user's message
    std::string system;   // begins every conversation that has no system message; empty: none
    int vocabulary = 0;   // of the model
    int longest = 0;      // positions of a sequence, prompt and completion together
    bool add_bos = true;  // where the tokenizer wants one
};

// A request's tokens, or why it cannot be served.
using Encoded = std::variant<std::vector<Token>, RequestError>;

class RequestEncoder {
public:
    // `tokenizer` must outlive the encoder. Without a chat template, messages are answered by an error.
    RequestEncoder(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat, EncodeOptions options);

    // A plain prompt begins with BOS as `add_bos` says. A conversation is what its template
    // writes (README.md of text: Conversations), with BOS only where that writes one, and ends where the
    // assistant is to speak (ChatTemplate::prompt). Depends on nothing of the request but its input.
    Encoded encode(const Request& request) const;

    int vocabulary() const { return options_.vocabulary; }

private:
    std::vector<Token> encode_text(const std::string& text) const;
    std::vector<Token> encode_chat(std::vector<Message> messages) const;
    // What stands between the names of bos and eos is each encoded as a text of its own.
    std::vector<Token> encode_sections(std::string_view text) const;

    const Tokenizer& tokenizer_;
    std::optional<ChatTemplate> chat_;
    EncodeOptions options_;
};

}  // namespace sluice
