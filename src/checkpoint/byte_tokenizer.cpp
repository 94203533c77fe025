#include "checkpoint/byte_tokenizer.hpp"

#include "core/json.hpp"

#include <set>
#include <vector>

namespace sluice {
namespace {

// A code point below 0x800 in UTF-8.
std::string utf8_of(unsigned code_point) {
    if (code_point < 0x80) return {static_cast<char>(code_point)};
    return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// Byte-level BPE spells bytes by printable characters: themselves where they are, else U+0100 and on.
std::vector<std::string> byte_spellings() {
    std::vector<std::string> spellings;
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        spellings.push_back(utf8_of(printable ? byte : next++));
    }
    return spellings;
}

// A number or a list of numbers; those beyond the vocabulary are none of it.
std::vector<int> ids_of(const Json& config, const char* key, int vocab) {
    std::vector<int> ids;
    const Json value = config.value(key, Json());
    for (const Json& id : value.is_array() ? value : Json::array({value}))
        if (id.is_number_integer() && id >= 0 && id < vocab) ids.push_back(id.get<int>());
    return ids;
}

// The special tokens stand here, too: else other readers give them ids of their own.
Json vocabulary_of(const std::map<int, std::string>& names, const std::set<int>& taken) {
    Json vocabulary = Json::object();
    for (const auto& [id, name] : names) vocabulary[name] = id;
    int next = 0;
    for (const std::string& spelling : byte_spellings()) {
        while (taken.contains(next)) ++next;
        vocabulary[spelling] = next++;
    }
    return vocabulary;
}

constexpr const char* kBeginning = "<|begin|>";

std::string end_name(std::size_t number) {
    return number == 0 ? "<|end|>" : fmt::format("<|end-{}|>", number + 1);
}

// Names by id: one and the same token may begin and end texts.
std::map<int, std::string> special_names(const std::vector<int>& bos, const std::vector<int>& eos) {
    std::map<int, std::string> names;
    if (!bos.empty()) names.emplace(bos.front(), kBeginning);
    for (std::size_t i = 0; i < eos.size(); ++i) names.emplace(eos[i], end_name(i));
    return names;
}

Json added_tokens(const std::map<int, std::string>& names) {
    Json tokens = Json::array();
    for (const auto& [id, content] : names) {
        tokens.push_back({{"id", id},
                          {"content", content},
                          {"single_word", false},
                          {"lstrip", false},
                          {"rstrip", false},
                          {"normalized", false},
                          {"special", true}});
    }
    return tokens;
}

// The beginning stands before every text.
Json template_of(int bos) {
    const Json special{{"SpecialToken", {{"id", kBeginning}, {"type_id", 0}}}};
    const Json first{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const Json second{{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
    return {
        {"type", "TemplateProcessing"},
        {"single", Json::array({special, first})},
        {"pair", Json::array({special, first, special, second})},
        {"special_tokens", {{kBeginning, {{"id", kBeginning}, {"ids", {bos}}, {"tokens", {kBeginning}}}}}}};
}

Json tokenizer_of(const std::map<int, std::string>& names, const std::vector<int>& bos,
                  const std::set<int>& taken) {
    const Json byte_level{
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
    const Json model{{"type", "BPE"},
                     {"dropout", nullptr},
                     {"unk_token", nullptr},
                     {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr},
                     {"fuse_unk", false},
                     {"byte_fallback", false},
                     {"vocab", vocabulary_of(names, taken)},
                     {"merges", Json::array()}};
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", added_tokens(names)},
            {"normalizer", nullptr},
            {"pre_tokenizer", byte_level},
            {"post_processor", bos.empty() ? Json() : template_of(bos.front())},
            {"decoder", byte_level},
            {"model", model}};
}

}  // namespace

std::map<std::string, std::string> byte_tokenizer(std::string_view config_json, const ModelConfig& config) {
    const Json keys = parse_json(config_json, "configuration", ExitCode::Checkpoint);
    const std::vector<int> bos = ids_of(keys, "bos_token_id", config.vocab);
    const std::vector<int> eos = ids_of(keys, "eos_token_id", config.vocab);
    std::set<int> taken(eos.begin(), eos.end());
    taken.insert(bos.begin(), bos.end());
    if (config.masked_token) taken.insert(*config.masked_token);
    if (static_cast<std::size_t>(config.vocab) < 256 + taken.size()) return {};

    const std::map<int, std::string> names = special_names(bos, eos);
    Json special{{"tokenizer_class", "PreTrainedTokenizerFast"}};
    Json generation = Json::object();
    if (!bos.empty()) {
        special["bos_token"] = kBeginning;
        generation["bos_token_id"] = bos.front();
    }
    if (!eos.empty()) {
        special["eos_token"] = names.at(eos.front());
        generation["eos_token_id"] = eos;
    }
    return {{"tokenizer.json", tokenizer_of(names, bos, taken).dump(1) + "\n"},
            {"tokenizer_config.json", special.dump(1) + "\n"},
            {"generation_config.json", generation.dump(1) + "\n"}};
}

}  // namespace sluice
