#include "text/chat_formats.hpp"

#include "core/error.hpp"

#include <fmt/ranges.h>

#include <array>

namespace sluice {
namespace {

// The turns as their models were trained on them, without tools. Roles come checked; a format whose turns
// must alternate refuses others itself.
constexpr std::string_view kDeepSeekV2 = R"(
{{- bos_token }}
{%- for m in messages %}
    {%- if m.role == 'system' %}{{ m.content + '\n\n' }}
    {%- elif m.role == 'user' %}{{ 'User: ' + m.content + '\n\n' }}
    {%- else %}{{ 'Assistant: ' + m.content + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %})";

// All system messages stand before the turns; what an answer reasoned is left out of later prompts; a last
// message, which is to be continued, is whole.
constexpr std::string_view kDeepSeekV3 = R"(
{{- bos_token }}
{{- messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\n\n') }}
{%- for m in messages %}
    {%- if m.role == 'user' %}{{ '<｜User｜>' + m.content }}
    {%- elif m.role == 'assistant' %}
        {{- '<｜Assistant｜>' + (m.content if loop.last else m.content.split('</think>')[-1]) + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %})";

constexpr std::string_view kLlama2 = R"(
{%- set system = messages[0].content if messages[0].role == 'system' %}
{%- set turns = messages[1:] if system is defined else messages %}
{%- for m in turns %}
    {%- if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('llama-2: after a system message, turns must alternate between user and assistant') }}
    {%- endif %}
    {%- set before = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' if loop.first and system is defined else '' %}
    {%- if m.role == 'user' %}{{ bos_token + '[INST] ' + (before + m.content).strip() + ' [/INST]' }}
    {%- else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if not turns %}{{ raise_exception('llama-2: a system message needs a user message after it') }}{% endif %})";

constexpr std::string_view kLlama3 = R"(
{{- bos_token }}
{%- for m in messages %}
    {{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %})";

constexpr std::string_view kMixtral = R"(
{{- bos_token }}
{%- set system = messages[0].content if messages[0].role == 'system' %}
{%- set turns = messages[1:] if system is defined else messages %}
{%- for m in turns %}
    {%- if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('mixtral: after a system message, turns must alternate between user and assistant') }}
    {%- endif %}
    {%- set before = system + '\n\n' if loop.first and system is defined else '' %}
    {%- if m.role == 'user' %}{{ ' [INST] ' + before + m.content + ' [/INST]' }}
    {%- else %}{{ ' ' + m.content + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if not turns %}{{ raise_exception('mixtral: a system message needs a user message after it') }}{% endif %})";

constexpr std::string_view kChatMl = R"(
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})";

}  // namespace

std::span<const ChatFormat> chat_formats() {
    static const std::array<ChatFormat, 6> formats{{
        {"deepseek-v2", "DeepSeek-V2: User: and Assistant:", kDeepSeekV2, {}, ""},
        {"deepseek-v3",
         "DeepSeek-V2.5, V3 and R1: <｜User｜> and <｜Assistant｜>",
         kDeepSeekV3,
         {"<｜User｜>", "<｜Assistant｜>"},
         ""},
        {"llama-2", "Llama-2-Chat: [INST] with <<SYS>>", kLlama2, {}, ""},
        {"llama-3",
         "Llama-3-Instruct: <|start_header_id|> and <|eot_id|>, without dates",
         kLlama3,
         {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
         "<|eot_id|>"},
        {"mixtral", "Mixtral- and Mistral-Instruct: [INST]", kMixtral, {}, ""},
        {"chatml",
         "ChatML: <|im_start|> and <|im_end|>",
         kChatMl,
         {"<|im_start|>", "<|im_end|>"},
         "<|im_end|>"},
    }};
    return formats;
}

std::vector<std::string> names_of(std::span<const ChatFormat> formats) {
    std::vector<std::string> names;
    for (const ChatFormat& format : formats) names.emplace_back(format.name);
    return names;
}

const ChatFormat* find_chat_format(std::string_view name) {
    for (const ChatFormat& format : chat_formats()) {
        if (format.name == name) return &format;
    }
    return nullptr;
}

std::optional<ChatTemplate> open_chat(const TokenizerFiles& files, const ChatFormat* format) {
    if (format != nullptr) return ChatTemplate(std::string(format->source));
    try {
        return chat_template_of(files);
    } catch (const Error& error) {
        fail(error.code(), "{}; --chat-format can choose a format instead of it ({})", error.what(),
             fmt::join(names_of(chat_formats()), ", "));
    }
}

}  // namespace sluice
