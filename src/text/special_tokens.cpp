#include "text/special_tokens.hpp"

#include "core/json.hpp"

#include <algorithm>
#include <set>

namespace sluice {
namespace {

Json read_object(const TokenizerFiles& files, const std::string& name) {
    const auto found = files.files.find(name);
    if (found == files.files.end()) return Json::object();
    Json object = parse_json(found->second, name, ExitCode::Checkpoint);
    require(object.is_object(), ExitCode::Checkpoint, "{}: not a JSON object", name);
    return object;
}

// A token is named by its text, or by an object with its text as `content`. Empty: not named.
std::string token_text(const Json& object, const std::string& key, const std::string& file) {
    if (!object.contains(key) || object[key].is_null()) return {};
    const Json& value = object[key];
    if (value.is_string()) return value;
    require(value.is_object() && value.contains("content") && value["content"].is_string(),
            ExitCode::Checkpoint, "{}: {} is neither a string nor an object with content", file, key);
    return value["content"];
}

std::string token_text_in(const TokenizerFiles& files, const std::string& key) {
    for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
        if (std::string text = token_text(read_object(files, file), key, file); !text.empty()) return text;
    }
    return {};
}

// A whole number, a list of them, or null.
std::vector<Token> ids_in(const Json& object, const std::string& key, const std::string& file) {
    if (!object.contains(key) || object[key].is_null()) return {};
    const Json list = object[key].is_array() ? object[key] : Json::array({object[key]});
    std::set<Token> ids;
    for (const Json& id : list) {
        require(id.is_number_integer() && id >= 0 && id < std::int64_t{1} << 31, ExitCode::Checkpoint,
                "{}: {} holds {}, which is not a token id", file, key, id.dump());
        ids.insert(id.get<Token>());
    }
    return {ids.begin(), ids.end()};
}

}  // namespace

SpecialTokens read_special_tokens(const TokenizerFiles& files,
                                  const std::function<std::optional<Token>(const std::string&)>& id_of,
                                  const std::string& template_prefix) {
    SpecialTokens special;
    const auto look_up = [&](const char* key, std::string& text) {
        text = token_text_in(files, key);
        const std::optional<Token> id = text.empty() ? std::nullopt : id_of(text);
        require(text.empty() || id.has_value(), ExitCode::Checkpoint,
                "tokenizer_config.json: {} is \"{}\", which is no token of the vocabulary", key, text);
        return id;
    };
    special.bos = look_up("bos_token", special.bos_text);
    const std::optional<Token> eos = look_up("eos_token", special.eos_text);

    const Json generation = read_object(files, "generation_config.json");
    special.eos = ids_in(generation, "eos_token_id", "generation_config.json");
    if (special.eos.empty() && eos) special.eos = {*eos};
    if (!special.bos) {
        const std::vector<Token> ids = ids_in(generation, "bos_token_id", "generation_config.json");
        if (!ids.empty()) special.bos = ids.front();
    }

    const Json config = read_object(files, "tokenizer_config.json");
    const bool decided = config.contains("add_bos_token") && config["add_bos_token"].is_boolean();
    special.add_bos = decided ? config["add_bos_token"].get<bool>()
                              : !template_prefix.empty() && template_prefix == special.bos_text;
    require(!special.add_bos || special.bos.has_value(), ExitCode::Checkpoint,
            "tokenizer_config.json: add_bos_token is set, but there is no bos_token");
    return special;
}

}  // namespace sluice
