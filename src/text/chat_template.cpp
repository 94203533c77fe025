#include "text/chat_template.hpp"

#include "core/json.hpp"
#include "text/jinja/evaluator.hpp"
#include "text/jinja/parser.hpp"
#include "text/jinja/python_text.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr const char* kConfig = "tokenizer_config.json";
const std::string kMark = "<<the assistant goes on here>>";

// Far more than templates need: they visit each message a few times and copy its text a few times.
std::uint64_t allowance_for(std::span<const Message> messages) {
    std::uint64_t bytes = 0;
    for (const Message& message : messages) bytes += message.role.size() + message.content.size();
    constexpr std::uint64_t kLeast = std::uint64_t{64} << 20U;
    constexpr std::uint64_t kMost = std::uint64_t{4} << 30U;
    return std::min(kLeast + 64 * bytes + 8192 * messages.size(), kMost);
}

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

std::string ChatTemplate::prompt(std::span<const Message> messages, const std::string& bos_token,
                                 const std::string& eos_token) const {
    if (messages.empty() || messages.back().role != "assistant")
        return render(messages, true, bos_token, eos_token);
    // A mark tells where the template puts the message's end; the blank at its own end, whether it trims.
    std::vector<Message> marked(messages.begin(), messages.end());
    marked.back().content += kMark + " ";
    std::string text = render(marked, false, bos_token, eos_token);
    const std::size_t end = text.rfind(kMark);
    if (end == std::string::npos)
        throw TemplateRefusal(
            "the last message is the assistant's, and the template does not write all of it: "
            "it cannot be continued");
    const bool trims = text.compare(end + kMark.size(), 1, " ") != 0;
    text.resize(end);
    const std::string& content = messages.back().content;
    if (!text.ends_with(jinja::strip(content, std::nullopt, jinja::Ends::Left)))
        throw TemplateRefusal(
            "the last message is the assistant's, and the template writes it changed: it cannot be "
            "continued");
    return trims ? std::string(jinja::strip(text, std::nullopt, jinja::Ends::Right)) : text;
}

std::string ChatTemplate::render(std::span<const Message> messages, bool add_generation_prompt,
                                 const std::string& bos_token, const std::string& eos_token) const {
    jinja::List list;
    for (const Message& message : messages) {
        list.push_back(jinja::make_dict({{"role", message.role}, {"content", message.content}}));
    }
    // tools and documents are None, not undefined, where a conversation has none: templates tell them apart.
    return jinja::render(*statements_,
                         {{"messages", jinja::make_list(std::move(list))},
                          {"tools", jinja::None{}},
                          {"documents", jinja::None{}},
                          {"add_generation_prompt", add_generation_prompt},
                          {"bos_token", bos_token},
                          {"eos_token", eos_token}},
                         allowance_for(messages));
}

std::optional<ChatTemplate> chat_template_of(const TokenizerFiles& files) {
    const std::optional<std::string> source = template_source(files);
    return source ? std::optional<ChatTemplate>(*source) : std::nullopt;
}

}  // namespace sluice
