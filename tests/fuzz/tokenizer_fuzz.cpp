// Any bytes as a tokenizer.json; or, where they are a JSON object, as changes to a small whole tokenizer,
// without which nearly every input would lack the 256 bytes' tokens. Its members that are called as other
// tokenizer files become those files, and those of "texts" are encoded beside the texts below.
#include "check_tokenizer.hpp"
#include "core/json.hpp"
#include "fuzz.hpp"

#include <string>

namespace sluice::fuzz {
namespace {

void append_utf8(unsigned code, std::string& text) {  // below U+0800
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
    }
}

Json whole_tokenizer() {
    Json vocab;
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool spells_itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        std::string spelling;
        append_utf8(spells_itself ? byte : next++, spelling);
        vocab[spelling] = byte;
    }
    vocab["on"] = 256;
    vocab["ce"] = 257;
    vocab["\xC4\xA0t"] = 258;  // " t"
    Json file;
    file["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"o n", "c e", "\xC4\xA0 t"}}};
    file["added_tokens"] = {{{"id", 300}, {"content", "<s>"}, {"special", true}},
                            {{"id", 301}, {"content", "</s>"}, {"special", true}}};
    file["decoder"] = {{"type", "ByteLevel"}};
    file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
    return file;
}

TokenizerFiles files_of(std::string_view input) {
    Json changes = Json::parse(input, nullptr, false);
    if (!changes.is_object()) return {{{"tokenizer.json", std::string(input)}}};
    TokenizerFiles files;
    for (const char* name : {"tokenizer_config.json", "generation_config.json", "special_tokens_map.json"}) {
        const auto found = changes.find(name);
        if (found != changes.end()) files.files[name] = found->dump();
        changes.erase(name);
    }
    Json file = whole_tokenizer();
    file.merge_patch(changes);
    files.files["tokenizer.json"] = file.dump();
    return files;
}

void check_tokenizer(std::string_view input) {
    const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(files_of(input));
    for (const char* text : kTexts) check_text(*tokenizer, text);
    const Json json = Json::parse(input, nullptr, false);
    if (!json.is_object() || !json.contains("texts")) return;
    for (const Json& text : json["texts"])
        if (text.is_string()) check_text(*tokenizer, text.get<std::string>());
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    fuzz::accepts(ExitCode::Checkpoint, [&] { fuzz::check_tokenizer(fuzz::text_of(data, size)); });
    return 0;
}
