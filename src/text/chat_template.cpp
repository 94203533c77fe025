#include "text/chat_template.hpp"

#include "core/json.hpp"
#include "text/jinja/evaluator.hpp"
#include "text/jinja/parser.hpp"

namespace sluice {
namespace {

constexpr const char* kConfig = "tokenizer_config.json";

std::optional<std::string> template_source(const TokenizerFiles& files) {
    if (const auto file = files.files.find("chat_template.jinja"); file != files.files.end())
        return file->second;
    const auto file = files.files.find(kConfig);
    if (file == files.files.end()) return std::nullopt;
    const Json config = parse_json(file->second, kConfig, ExitCode::Checkpoint);
    if (!config.is_object() || !config.contains("chat_template") || config["chat_template"].is_null()) {
        return std::nullopt;
    }
    const Json& value = config["chat_template"];
    if (value.is_string()) return value.get<std::string>();
    require(value.is_array(), ExitCode::Checkpoint, "{}: chat_template is neither a string nor a list",
            kConfig);
    for (const Json& entry : value) {
        const bool named = entry.is_object() && entry.value("name", Json()) == "default";
        if (named && entry.value("template", Json()).is_string()) return entry["template"].get<std::string>();
    }
    fail(ExitCode::Checkpoint, "{}: chat_template is a list without a template named \"default\"", kConfig);
}

}  // namespace

ChatTemplate::ChatTemplate(const std::string& source)
    : statements_(std::make_shared<const jinja::Block>(jinja::parse(source))) {}

std::string ChatTemplate::render(std::span<const Message> messages, bool add_generation_prompt,
                                 const std::string& bos_token, const std::string& eos_token) const {
    jinja::List list;
    for (const Message& message : messages) {
        list.push_back(jinja::make_dict({{"role", message.role}, {"content", message.content}}));
    }
    // tools and documents are None, not undefined, where a conversation has none: templates tell them apart.
    return jinja::render(*statements_, {{"messages", jinja::make_list(std::move(list))},
                                        {"tools", jinja::None{}},
                                        {"documents", jinja::None{}},
                                        {"add_generation_prompt", add_generation_prompt},
                                        {"bos_token", bos_token},
                                        {"eos_token", eos_token}});
}

std::optional<ChatTemplate> chat_template_of(const TokenizerFiles& files) {
    const std::optional<std::string> source = template_source(files);
    return source ? std::optional<ChatTemplate>(*source) : std::nullopt;
}

}  // namespace sluice
