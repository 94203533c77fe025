// Any text as a chat template, rendered for a few conversations. From UTF-8 comes UTF-8.
#include "fuzz.hpp"
#include "text/chat_template.hpp"
#include "text/utf8.hpp"

#include <optional>
#include <string>
#include <vector>

namespace sluice::fuzz {
namespace {

const std::vector<std::vector<Message>>& conversations() {
    static const std::vector<std::vector<Message>> all = {
        {{"user", "Why is the sky blue?"}},
        {{"system", " Be brief.\n"},
         {"user", "Hi"},
         {"assistant", "<think>so</think>Hello"},
         {"user", "1 + 1?\n"}},
        {{"user", ""}, {"assistant", "na\xC3\xAFve \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x91\xA9 {{ x }}"}},
    };
    return all;
}

void check_render(const ChatTemplate& format, const std::vector<Message>& messages, bool is_utf8) {
    try {
        const std::string text = format.prompt(messages, "<s>", "</s>");
        promise(!is_utf8 || is_valid_utf8(text), "rendered to what is not UTF-8");
    } catch (const TemplateRefusal&) {
    }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const std::string source(fuzz::text_of(data, size));
    std::optional<ChatTemplate> format;
    if (!fuzz::accepts(ExitCode::Checkpoint, [&] { format.emplace(source); })) return 0;
    for (const auto& messages : fuzz::conversations())
        fuzz::check_render(*format, messages, is_valid_utf8(source));
    return 0;
}
