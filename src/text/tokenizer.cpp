#include "text/tokenizer.hpp"

#include "core/json.hpp"
#include "text/bpe_tokenizer.hpp"
#include "text/utf8_decode.hpp"

namespace sluice {
namespace {

constexpr const char* kKnownFiles[] = {"tokenizer.json",         "tokenizer_config.json",
                                       "generation_config.json", "special_tokens_map.json",
                                       "chat_template.jinja",    "tokenizer.model"};

}  // namespace

TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder) {
    TokenizerFiles result;
    for (const char* name : kKnownFiles) {
        const std::filesystem::path path = folder / name;
        if (std::filesystem::exists(path)) result.files[name] = read_file(path, ExitCode::Checkpoint);
    }
    require(result.files.contains("tokenizer.json") || result.files.contains("tokenizer.model"),
            ExitCode::Checkpoint, "{}: no tokenizer.json or tokenizer.model in this folder", folder.string());
    return result;
}

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerFiles& files) { return make_bpe_tokenizer(files); }

std::string decode(const Tokenizer& tokenizer, std::span<const Token> tokens, bool skip_special) {
    std::string bytes;
    for (const Token token : tokens) {
        if (!skip_special || !tokenizer.is_special(token)) bytes += tokenizer.bytes_of(token);
    }
    std::string text;
    const std::size_t cut_off = append_complete_utf8(bytes, text);
    if (cut_off > 0) text += kReplacementCharacter;
    return text;
}

}  // namespace sluice
