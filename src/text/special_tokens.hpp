// Which tokens begin and end a text, and which stand in it by name, from tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and generation_config.json.
#pragma once

#include "text/added_tokens.hpp"
#include "text/tokenizer.hpp"

#include <functional>
#include <set>

namespace sluice {

using TokenLookup = std::function<std::optional<Token>(const std::string& name)>;

// What the tokenizer's own file says of the ends of a text. The other files come first.
struct OwnEnds {
    std::string bos;               // a token's name; empty: none
    std::vector<std::string> eos;  // names
    // The token that the file itself puts before a text; empty: none. It adds bos, if it is bos.
    std::string prefix;
    bool add_bos = false;  // bos is added, whatever its name
};

// `id_of` looks a token's name up. generation_config.json's eos ids, where it has any, replace those of the
// tokenizer; tokenizer_config.json's add_bos_token decides before the tokenizer's own file. Errors:
// ExitCode::Checkpoint, naming the file and the key.
SpecialTokens read_special_tokens(const TokenizerFiles& files, const TokenLookup& id_of, const OwnEnds& own);

struct AddedNames {
    std::vector<AddedToken> tokens;  // no two of the same content or id
    std::set<Token> named;           // those with a part to play: bos_token, unk_token, ...
};

// The tokens that the files name, for tokenizers whose own file does not: added_tokens_decoder (or
// added_tokens.json), then bos_token, eos_token, unk_token, ... and additional_special_tokens; `own` is what
// these are where the files are silent. A name that has no id in the files is looked up by `id_of`, and left
// out when it has none there either. Errors: ExitCode::Checkpoint, naming the file and the key.
AddedNames read_added_names(const TokenizerFiles& files, const TokenLookup& id_of,
                            const std::map<std::string, std::string>& own);

}  // namespace sluice
