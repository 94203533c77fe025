#include "text/tokenizer.hpp"

#include "core/json.hpp"
#include "text/bpe_tokenizer.hpp"
#include "text/detokenizer.hpp"
#include "text/rank_file.hpp"
#include "text/sentencepiece_tokenizer.hpp"

namespace sluice {
namespace {

constexpr const char* kKnownFiles[] = {
    "tokenizer.json",    "tokenizer_config.json", "generation_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja",   "tokenizer.model"};

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

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerFiles& files) {
    const auto model = files.files.find("tokenizer.model");
    require(model != files.files.end() || files.files.contains("tokenizer.json"), ExitCode::Checkpoint,
            "no tokenizer.json and no tokenizer.model in the checkpoint: shard it again with one beside the "
            "source");
    if (model == files.files.end() || is_byte_level(files)) return make_bpe_tokenizer(files);
    if (is_rank_file(model->second)) return make_ranked_tokenizer(files);
    return make_sentencepiece_tokenizer(files);
}

std::string decode(const Tokenizer& tokenizer, std::span<const Token> tokens, bool skip_special) {
    Detokenizer detokenizer(tokenizer, skip_special);
    std::string text;
    for (const Token token : tokens) text += detokenizer.push(token);
    return text + detokenizer.finish();
}

}  // namespace sluice
