// Cuts text into the pieces that BPE works on, by the `pre_tokenizer` of a tokenizer.json.
#pragma once

#include "text/regex.hpp"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

enum class SplitBehavior { Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous };

class PreTokenizer {
public:
    // Byte-level pre-tokenizers: Split, Digits and ByteLevel, alone or in a Sequence that ends with
    // ByteLevel. Errors: ExitCode::Checkpoint, naming `where` and the component.
    PreTokenizer(const nlohmann::json& config, const std::string& where);

    // Hands over the pieces from left to right, as raw bytes. `text` must be UTF-8.
    void split(std::string_view text, const std::function<void(std::string_view)>& piece) const;

private:
    struct Step {
        Regex regex;
        SplitBehavior behavior;
        bool invert;
    };
    void add_component(const nlohmann::json& config, const std::string& where);
    void add_split(const nlohmann::json& config, const std::string& where);
    void add_byte_level(const nlohmann::json& config, const std::string& where);
    static void cut(const Step& step, std::string_view text, std::vector<std::string_view>& pieces);

    std::vector<Step> steps_;       // on text
    std::vector<Step> last_steps_;  // on text to which ByteLevel has added its blank
    bool byte_level_ = false;
    bool add_prefix_space_ = false;
};

}  // namespace sluice
