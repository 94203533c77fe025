#include "text/special_tokens.hpp"

#include "core/json.hpp"
#include "text/bpe.hpp"

#include <algorithm>
#include <map>

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

// The file's own list counts where the eos token is its own, too.
std::vector<Token> eos_ids(std::optional<Token> eos, bool is_own, const OwnEnds& own,
                           const TokenLookup& id_of) {
    std::set<Token> ids;
    if (eos) ids.insert(*eos);
    for (const std::string& name : is_own ? own.eos : std::vector<std::string>()) {
        if (const auto id = id_of(name)) ids.insert(*id);
    }
    return {ids.begin(), ids.end()};
}

bool flag(const Json& object, const char* key, const std::string& file) {
    if (!object.contains(key)) return false;
    require(object[key].is_boolean(), ExitCode::Checkpoint, "{}: {} is not true or false", file, key);
    return object[key];
}

class NameReader {
public:
    NameReader(const TokenizerFiles& files, const TokenLookup& id_of) : files_(files), id_of_(id_of) {}

    AddedNames run(const std::map<std::string, std::string>& own) {
        const Json config = read_object(files_, kConfig);
        if (config.contains("added_tokens_decoder")) {
            read_decoder(config["added_tokens_decoder"]);
        } else {
            const Json added = read_object(files_, kAdded);
            for (const auto& [name, id] : added.items()) {
                add(parse(name, kAdded), parse_id(id.dump(), kAdded));
            }
        }
        for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
                                "mask_token", "additional_special_tokens"}) {
            if (read_role(key)) continue;
            if (const auto found = own.find(key); found != own.end()) add_named(parse(found->second, key));
        }
        return std::move(names_);
    }

private:
    static constexpr const char* kConfig = "tokenizer_config.json";
    static constexpr const char* kAdded = "added_tokens.json";

    static Token parse_id(const std::string& text, const std::string& file) {
        const bool digits =
            !text.empty() && text.size() < 9 && text.find_first_not_of("0123456789") == std::string::npos;
        const int id = digits ? std::stoi(text) : kMaxTokens;
        require(id < kMaxTokens, ExitCode::Checkpoint,
                "{}: an added token has the id {}; ids are whole numbers from 0 to {}", file, text,
                kMaxTokens - 1);
        return id;
    }

    // A name, or an object with the name as `content`.
    static AddedToken parse(const Json& entry, const std::string& file) {
        require(entry.is_string() ||
                    (entry.is_object() && entry.contains("content") && entry["content"].is_string()),
                ExitCode::Checkpoint, "{}: an added token is {}, neither a string nor an object with content",
                file, entry.dump());
        if (entry.is_string()) return {-1, entry, false, false, false, false, false};
        return {-1,
                entry["content"],
                flag(entry, "special", file),
                flag(entry, "single_word", file),
                flag(entry, "lstrip", file),
                flag(entry, "rstrip", file),
                false};
    }

    void read_decoder(const Json& decoder) {
        require(decoder.is_object(), ExitCode::Checkpoint, "{}: added_tokens_decoder is not an object",
                kConfig);
        for (const auto& [id, entry] : decoder.items()) add(parse(entry, kConfig), parse_id(id, kConfig));
    }

    bool read_role(const char* key) {
        for (const char* file : {kConfig, "special_tokens_map.json"}) {
            const Json object = read_object(files_, file);
            if (!object.contains(key) || object[key].is_null()) continue;
            const Json list = object[key].is_array() ? object[key] : Json::array({object[key]});
            for (const Json& entry : list) add_named(parse(entry, file));
            return true;
        }
        return false;
    }

    void add_named(AddedToken token) {
        token.special = true;
        if (const auto known = places_.find(token.content); known != places_.end()) {
            names_.tokens[known->second].special = true;
            names_.named.insert(names_.tokens[known->second].id);
            return;
        }
        const auto id = token.content.empty() ? std::nullopt : id_of_(token.content);
        if (!id) return;
        names_.named.insert(*id);
        add(std::move(token), *id);
    }

    void add(AddedToken token, Token id) {
        if (token.content.empty()) return;
        token.id = id;
        require(ids_.insert(id).second && places_.emplace(token.content, names_.tokens.size()).second,
                ExitCode::Checkpoint, "{}: the added token \"{}\" or its id {} stands twice", kConfig,
                token.content, id);
        names_.tokens.push_back(std::move(token));
    }

    const TokenizerFiles& files_;
    const TokenLookup& id_of_;
    AddedNames names_;
    std::map<std::string, std::size_t> places_;  // content -> index into names_.tokens
    std::set<Token> ids_;
};

}  // namespace

AddedNames read_added_names(const TokenizerFiles& files, const TokenLookup& id_of,
                            const std::map<std::string, std::string>& own) {
    return NameReader(files, id_of).run(own);
}

SpecialTokens read_special_tokens(const TokenizerFiles& files, const TokenLookup& id_of, const OwnEnds& own) {
    SpecialTokens special;
    const auto look_up = [&](const char* key, const std::string& own_name, std::string& text) {
        text = token_text_in(files, key);
        if (text.empty()) text = own_name;
        const std::optional<Token> id = text.empty() ? std::nullopt : id_of(text);
        require(text.empty() || id.has_value(), ExitCode::Checkpoint,
                "tokenizer_config.json: {} is \"{}\", which is no token of the vocabulary", key, text);
        return id;
    };
    special.bos = look_up("bos_token", own.bos, special.bos_text);
    const std::string own_eos = own.eos.empty() ? std::string() : own.eos.front();
    const std::optional<Token> eos = look_up("eos_token", own_eos, special.eos_text);

    const Json generation = read_object(files, "generation_config.json");
    special.eos = ids_in(generation, "eos_token_id", "generation_config.json");
    if (special.eos.empty()) special.eos = eos_ids(eos, special.eos_text == own_eos, own, id_of);
    if (!special.bos) {
        const std::vector<Token> ids = ids_in(generation, "bos_token_id", "generation_config.json");
        if (!ids.empty()) special.bos = ids.front();
    }

    const Json config = read_object(files, "tokenizer_config.json");
    const bool decided = config.contains("add_bos_token") && config["add_bos_token"].is_boolean();
    special.add_bos = decided ? config["add_bos_token"].get<bool>()
                              : own.add_bos || (!own.prefix.empty() && own.prefix == special.bos_text);
    require(!special.add_bos || special.bos.has_value(), ExitCode::Checkpoint,
            "tokenizer_config.json: add_bos_token is set, but there is no bos_token");
    return special;
}

}  // namespace sluice
