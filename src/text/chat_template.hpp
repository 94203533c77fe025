// A model's chat template: a conversation to the text the model was trained to continue.
#pragma once

#include "text/request.hpp"
#include "text/template_refusal.hpp"
#include "text/tokenizer.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

namespace jinja {
struct Statement;
}

// Written in the part of Jinja that chat templates use, run as Hugging Face's transformers run it
// (trim_blocks, lstrip_blocks), except that there is no strftime_now: a prompt must not depend on the day.
// Immutable; may be used by several threads at once.
class ChatTemplate {
public:
    // Errors: ExitCode::Checkpoint, naming the construct that cannot be parsed, its line and column.
    explicit ChatTemplate(const std::string& source);

    // What the model is to continue: the conversation and the beginning of the assistant's answer. A last
    // message that is the assistant's is that beginning (transformers' continue_final_message): the text ends
    // with it. The text holds the model's own bos token where the template writes it: encode it without
    // adding another. Errors: TemplateRefusal.
    std::string prompt(std::span<const Message> messages, const std::string& bos_token,
                       const std::string& eos_token) const;

    // The text of whole turns. Errors: TemplateRefusal.
    std::string render(std::span<const Message> messages, bool add_generation_prompt,
                       const std::string& bos_token, const std::string& eos_token) const;

private:
    std::shared_ptr<const std::vector<jinja::Statement>> statements_;
};

// The template in chat_template.jinja or else in tokenizer_config.json ("default", where it has several);
// none when the model has no template. Errors: ExitCode::Checkpoint.
std::optional<ChatTemplate> chat_template_of(const TokenizerFiles& files);

}  // namespace sluice
