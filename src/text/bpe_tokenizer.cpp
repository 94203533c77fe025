#include "text/bpe_tokenizer.hpp"

#include "core/json.hpp"
#include "text/added_tokens.hpp"
#include "text/bpe.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/rank_file.hpp"
#include "text/special_tokens.hpp"
#include "text/utf8_decode.hpp"

#include <algorithm>
#include <unordered_set>

namespace sluice {
namespace {

const std::string kFile = "tokenizer.json";

class BpeTokenizer final : public Tokenizer {
public:
    BpeTokenizer(std::unique_ptr<const BpeModel> model, AddedTokens added, PreTokenizer pre_tokenizer,
                 SpecialTokens ends)
        : Tokenizer(std::move(ends)),
          model_(std::move(model)),
          added_(std::move(added)),
          pre_tokenizer_(std::move(pre_tokenizer)) {
        for (const auto& [spelling, id] : model_->vocabulary()) add(id, spelling);
        for (const AddedToken& token : added_.tokens()) {
            add(token.id, token.content);
            if (token.special) special_.insert(token.id);
        }
        if (special().bos) special_.insert(*special().bos);
        special_.insert(special().eos.begin(), special().eos.end());
    }

    std::vector<Token> encode(std::string_view text) const override {
        const std::size_t invalid = find_invalid_utf8(text);
        require(invalid == std::string_view::npos, ExitCode::File, "the text is not UTF-8: byte {} (from 0)",
                invalid);
        std::vector<Token> tokens;
        for (const AddedTokens::Part& part : added_.split(text)) {
            if (part.token != nullptr) {
                tokens.push_back(part.token->id);
            } else {
                pre_tokenizer_.split(part.text,
                                     [&](std::string_view piece) { model_->encode(piece, tokens); });
            }
        }
        return tokens;
    }

    std::string_view bytes_of(Token token) const override {
        const bool known = token >= 0 && static_cast<std::size_t>(token) < bytes_.size();
        return known ? std::string_view(bytes_[static_cast<std::size_t>(token)]) : std::string_view();
    }

    bool is_special(Token token) const override { return special_.contains(token); }

    std::optional<Token> id_of(std::string_view name) const override {
        for (const AddedToken& token : added_.tokens())
            if (token.content == name) return token.id;
        const auto found = model_->vocabulary().find(std::string(name));
        return found != model_->vocabulary().end() ? std::optional(found->second) : std::nullopt;
    }

    Token vocab_size() const override { return static_cast<Token>(bytes_.size()); }

private:
    // An added token's name is decoded as any other spelling; most have characters outside the byte alphabet.
    void add(Token id, const std::string& spelling) {
        const auto index = static_cast<std::size_t>(id);
        if (index >= bytes_.size()) bytes_.resize(index + 1);
        bytes_[index] = bytes_of_byte_level(spelling).value_or(spelling);
    }

    std::unique_ptr<const BpeModel> model_;
    AddedTokens added_;
    PreTokenizer pre_tokenizer_;
    std::vector<std::string> bytes_;  // by id; empty where there is no token
    std::unordered_set<Token> special_;
};

std::string type_of(const Json& component) {
    return component.is_object() ? component.value("type", "without a type") : component.dump();
}

void check_normalizer(const Json& file) {
    if (!file.contains("normalizer") || file["normalizer"].is_null()) return;
    const Json& normalizer = file["normalizer"];
    const std::string type = type_of(normalizer);
    if (type == "Sequence" && normalizer.at("normalizers").empty()) return;
    fail(ExitCode::Checkpoint, "{}: the normalizer {} is not supported", kFile,
         type == "Sequence" ? type_of(normalizer.at("normalizers")[0]) : type);
}

void check_decoder(const Json& file) {
    const std::string type = file.contains("decoder") ? type_of(file["decoder"]) : "null";
    require(type == "ByteLevel", ExitCode::Checkpoint, "{}: the decoder {} is not supported, only ByteLevel",
            kFile, type);
}

AddedTokens read_added_tokens(const Json& file, const BpeModel& model) {
    std::vector<AddedToken> tokens;
    std::unordered_map<Token, std::string> names;
    std::unordered_set<std::string> contents;
    for (const auto& [spelling, id] : model.vocabulary()) names.emplace(id, spelling);
    for (const Json& entry : file.value("added_tokens", Json::array())) {
        const std::string content = entry.at("content");
        const Json& number = entry.at("id");
        const std::int64_t id = number.is_number_integer() ? number.get<std::int64_t>() : -1;
        require(id >= 0 && id < kMaxTokens, ExitCode::Checkpoint,
                "{}: the added token \"{}\" has the id {}; ids are whole numbers from 0 to {}", kFile,
                content, number.dump(), kMaxTokens - 1);
        if (content.empty()) continue;
        const auto in_vocabulary = model.vocabulary().find(content);
        const auto [other, is_new] = names.emplace(static_cast<Token>(id), content);
        require(other->second == content &&
                    (in_vocabulary == model.vocabulary().end() || in_vocabulary->second == id),
                ExitCode::Checkpoint, "{}: the added token \"{}\" has the id {}, which {}", kFile, content,
                id,
                other->second == content ? "is not its id in model.vocab"
                                         : fmt::format("belongs to \"{}\"", other->second));
        require(contents.insert(content).second, ExitCode::Checkpoint,
                "{}: the added token \"{}\" stands twice", kFile, content);
        tokens.push_back({static_cast<Token>(id), content, entry.value("special", false),
                          entry.value("single_word", false), entry.value("lstrip", false),
                          entry.value("rstrip", false), entry.value("normalized", true)});
    }
    return AddedTokens(std::move(tokens));
}

// The special token that TemplateProcessing puts before a single text; empty: none.
std::string template_prefix(const Json& processor) {
    const std::string type = type_of(processor);
    if (type == "Sequence") {
        for (const Json& part : processor.at("processors")) {
            if (std::string prefix = template_prefix(part); !prefix.empty()) return prefix;
        }
    }
    if (type != "TemplateProcessing" || processor.at("single").empty()) return {};
    const Json& first = processor.at("single")[0];
    return first.contains("SpecialToken") ? first["SpecialToken"].at("id").get<std::string>() : std::string();
}

// The id of a token's name, an added token's before the vocabulary's.
std::optional<Token> id_of(const AddedTokens& added, const BpeModel& model, const std::string& name) {
    for (const AddedToken& token : added.tokens()) {
        if (token.content == name) return token.id;
    }
    const auto found = model.vocabulary().find(name);
    return found != model.vocabulary().end() ? std::optional(found->second) : std::nullopt;
}

std::unique_ptr<Tokenizer> build(const TokenizerFiles& files, const Json& file) {
    require(file.is_object() && file.contains("model"), ExitCode::Checkpoint, "{}: model is missing", kFile);
    check_normalizer(file);
    check_decoder(file);
    auto model = std::make_unique<const BpeModel>(file["model"], kFile);
    AddedTokens added = read_added_tokens(file, *model);
    const std::string prefix = file.contains("post_processor") ? template_prefix(file["post_processor"]) : "";
    OwnEnds own;
    own.prefix = prefix;
    SpecialTokens ends = read_special_tokens(
        files, [&](const std::string& name) { return id_of(added, *model, name); }, own);
    PreTokenizer pre_tokenizer(file.value("pre_tokenizer", Json()), kFile);
    return std::make_unique<BpeTokenizer>(std::move(model), std::move(added), std::move(pre_tokenizer),
                                          std::move(ends));
}

// The special tokens that follow the ranked ones, in their published order: 256, most of them reserved.
std::vector<AddedToken> ranked_special_tokens(Token first) {
    std::vector<std::string> names = {"<|begin_of_text|>",
                                      "<|end_of_text|>",
                                      "<|reserved_special_token_0|>",
                                      "<|reserved_special_token_1|>",
                                      "<|finetune_right_pad_id|>",
                                      "<|step_id|>",
                                      "<|start_header_id|>",
                                      "<|end_header_id|>",
                                      "<|eom_id|>",
                                      "<|eot_id|>",
                                      "<|python_tag|>",
                                      "<|image|>"};
    for (int i = 2; names.size() < 256; ++i) names.push_back(fmt::format("<|reserved_special_token_{}|>", i));
    std::vector<AddedToken> tokens;
    for (std::string& name : names) {
        tokens.push_back({first++, std::move(name), true, false, false, false, false});
    }
    return tokens;
}

// The pre-tokenizer that was published with such a file.
Json ranked_pre_tokenizer() {
    const char* pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                          R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const Json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    return {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
}

}  // namespace

bool is_byte_level(const TokenizerFiles& files) {
    const auto text = files.files.find(kFile);
    if (text == files.files.end()) return false;
    const Json file = parse_json(text->second, kFile, ExitCode::Checkpoint);
    return file.is_object() && file.contains("decoder") && file["decoder"].is_object() &&
           file["decoder"].value("type", Json()) == "ByteLevel";
}

std::unique_ptr<Tokenizer> make_ranked_tokenizer(const TokenizerFiles& files) {
    const std::string where = "tokenizer.model";
    const std::vector<std::string> ranked = read_rank_file(files.files.at(where), where);
    const auto first = static_cast<Token>(ranked.size());
    auto model = std::make_unique<const BpeModel>(ranked, where);
    // Later models of the same vocabulary gave some reserved tokens names: tokenizer_config.json tells.
    std::vector<AddedToken> tokens =
        read_added_names(files, [](const std::string&) { return std::nullopt; }, {}).tokens;
    OwnEnds own;
    if (tokens.empty()) {
        tokens = ranked_special_tokens(first);
        own = {"<|begin_of_text|>", {"<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"}, "<|begin_of_text|>"};
    }
    for (const AddedToken& token : tokens) {
        require(
            token.id >= first, ExitCode::Checkpoint,
            "tokenizer_config.json: the added token \"{}\" has the id {}, which {} gives to a token of text",
            token.content, token.id, where);
    }
    AddedTokens added(std::move(tokens));
    SpecialTokens ends = read_special_tokens(
        files, [&](const std::string& name) { return id_of(added, *model, name); }, own);
    return std::make_unique<BpeTokenizer>(std::move(model), std::move(added),
                                          PreTokenizer(ranked_pre_tokenizer(), where), std::move(ends));
}

std::unique_ptr<Tokenizer> make_bpe_tokenizer(const TokenizerFiles& files) {
    const auto text = files.files.find(kFile);
    require(text != files.files.end(), ExitCode::Checkpoint, "{} is missing", kFile);
    const Json file = parse_json(text->second, kFile, ExitCode::Checkpoint);
    try {
        return build(files, file);
    } catch (const Json::exception& problem) {
        fail(ExitCode::Checkpoint, "{}: not a tokenizer as Hugging Face's tokenizers writes it: {}", kFile,
             problem.what());
    }
}

}  // namespace sluice
