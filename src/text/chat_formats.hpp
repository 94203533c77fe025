// Chat formats that a run can choose instead of the checkpoint's own template.
#pragma once

#include "text/chat_template.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ChatFormat {
    std::string_view name;
    std::string_view description;
    std::string_view source;  // of a ChatTemplate
    // What the format writes that a tokenizer must have as one token each, besides its own bos and eos.
    std::vector<std::string_view> tokens;
    std::string_view
        end_of_turn;  // ends the assistant's turn as eos does, one of `tokens`; empty: eos itself
};

std::span<const ChatFormat> chat_formats();
std::vector<std::string> names_of(std::span<const ChatFormat> formats);

// nullptr: no such format.
const ChatFormat* find_chat_format(std::string_view name);

// The chosen format, or for nullptr the model's own template; none when it has none. Errors:
// ExitCode::Checkpoint for a template that is not supported.
std::optional<ChatTemplate> open_chat(const TokenizerFiles& files, const ChatFormat* format);

}  // namespace sluice
