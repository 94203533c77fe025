#include "text/pre_tokenizer.hpp"

#include "core/json.hpp"

#include <algorithm>

namespace sluice {
namespace {

// The pattern GPT-2 published with its vocabulary.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior parse_behavior(const std::string& name, const std::string& where) {
    if (name == "Isolated") return SplitBehavior::Isolated;
    if (name == "Removed") return SplitBehavior::Removed;
    if (name == "MergedWithPrevious") return SplitBehavior::MergedWithPrevious;
    if (name == "MergedWithNext") return SplitBehavior::MergedWithNext;
    if (name == "Contiguous") return SplitBehavior::Contiguous;
    fail(ExitCode::Checkpoint, "{}: Split behavior \"{}\" is not supported", where, name);
}

struct Part {
    TextRange range;
    bool is_match;
};

// The matches and what stands between them.
std::vector<Part> all_parts(const std::vector<TextRange>& matches, std::size_t size, bool invert) {
    std::vector<Part> parts;
    std::size_t end = 0;
    for (const TextRange& match : matches) {
        if (end != match.begin) parts.push_back({{end, match.begin}, invert});
        parts.push_back({match, !invert});
        end = match.end;
    }
    if (end != size) parts.push_back({{end, size}, invert});
    return parts;
}

// Joins neighbours: a part goes to the one before it where joins(part, the part before) says so.
template <class Joins>
std::vector<Part> join(const std::vector<Part>& parts, Joins joins) {
    std::vector<Part> joined;
    bool previous = false;
    for (const Part& part : parts) {
        if (joins(part.is_match, previous) && !joined.empty()) {
            joined.back().range.begin = std::min(joined.back().range.begin, part.range.begin);
            joined.back().range.end = std::max(joined.back().range.end, part.range.end);
        } else {
            joined.push_back(part);
        }
        previous = part.is_match;
    }
    return joined;
}

std::vector<Part> apply(SplitBehavior behavior, std::vector<Part> parts) {
    const auto after_gap = [](bool is_match, bool previous) { return is_match && !previous; };
    switch (behavior) {
        case SplitBehavior::Isolated: break;
        case SplitBehavior::Removed:
            std::erase_if(parts, [](const Part& part) { return part.is_match; });
            break;
        case SplitBehavior::MergedWithPrevious: return join(parts, after_gap);
        case SplitBehavior::MergedWithNext:
            std::reverse(parts.begin(), parts.end());
            parts = join(parts, after_gap);
            std::reverse(parts.begin(), parts.end());
            break;
        case SplitBehavior::Contiguous:
            return join(parts, [](bool is_match, bool previous) { return is_match == previous; });
    }
    return parts;
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& config, const std::string& where) {
    require(!config.is_null(), ExitCode::Checkpoint,
            "{}: there is no pre_tokenizer; only byte-level tokenizers (ByteLevel) are supported", where);
    add_component(config, where);
    require(byte_level_, ExitCode::Checkpoint,
            "{}: the pre_tokenizer has no ByteLevel; only byte-level tokenizers are supported", where);
}

void PreTokenizer::add_component(const Json& config, const std::string& where) {
    const std::string type = config.at("type");
    require(!byte_level_, ExitCode::Checkpoint, "{}: a pre_tokenizer {} after ByteLevel is not supported",
            where, type);
    if (type == "Sequence") {
        for (const Json& part : config.at("pretokenizers")) add_component(part, where);
    } else if (type == "Split") {
        add_split(config, where);
    } else if (type == "Digits") {
        const bool single = config.value("individual_digits", false);
        steps_.push_back({Regex::from_oniguruma("\\p{N}", where),
                          single ? SplitBehavior::Isolated : SplitBehavior::Contiguous, false});
    } else if (type == "ByteLevel") {
        add_byte_level(config, where);
    } else {
        fail(ExitCode::Checkpoint, "{}: the pre_tokenizer {} is not supported", where, type);
    }
}

void PreTokenizer::add_split(const Json& config, const std::string& where) {
    const Json& pattern = config.at("pattern");
    const bool is_regex = pattern.contains("Regex");
    const std::string text = pattern.at(is_regex ? "Regex" : "String");
    require(!text.empty(), ExitCode::Checkpoint, "{}: a Split has an empty pattern", where);
    steps_.push_back({is_regex ? Regex::from_oniguruma(text, where) : Regex::literal(text),
                      parse_behavior(config.at("behavior"), where), config.value("invert", false)});
}

void PreTokenizer::add_byte_level(const Json& config, const std::string& where) {
    byte_level_ = true;
    add_prefix_space_ = config.value("add_prefix_space", true);
    if (config.value("use_regex", true)) {
        last_steps_.push_back({Regex::from_oniguruma(kGpt2Pattern, where), SplitBehavior::Isolated, false});
    }
}

void PreTokenizer::cut(const Step& step, std::string_view text, std::vector<std::string_view>& pieces) {
    thread_local std::vector<TextRange> matches;
    matches.clear();
    step.regex.find_all(text, matches);
    if (step.behavior == SplitBehavior::Isolated) {  // the common case, without a list of parts
        std::size_t end = 0;
        const auto add = [&](std::size_t from, std::size_t to) {
            if (from != to) pieces.push_back(text.substr(from, to - from));
        };
        for (const TextRange& match : matches) {
            add(end, match.begin);
            add(match.begin, match.end);
            end = match.end;
        }
        return add(end, text.size());
    }
    for (const Part& part : apply(step.behavior, all_parts(matches, text.size(), step.invert))) {
        const std::string_view piece = text.substr(part.range.begin, part.range.end - part.range.begin);
        if (!piece.empty()) pieces.push_back(piece);
    }
}

void PreTokenizer::split(std::string_view text, const std::function<void(std::string_view)>& piece) const {
    const auto run = [](const std::vector<Step>& steps, std::string_view whole) {
        std::vector<std::string_view> pieces;
        if (!whole.empty()) pieces.push_back(whole);
        for (const Step& step : steps) {
            std::vector<std::string_view> finer;
            finer.reserve(pieces.size());
            for (const std::string_view coarse : pieces) cut(step, coarse, finer);
            pieces.swap(finer);
        }
        return pieces;
    };
    for (const std::string_view part : run(steps_, text)) {
        if (add_prefix_space_ && !part.starts_with(' ')) {
            std::string with_blank(1, ' ');
            with_blank += part;
            for (const std::string_view last : run(last_steps_, with_blank)) piece(last);
        } else {
            for (const std::string_view last : run(last_steps_, part)) piece(last);
        }
    }
}

}  // namespace sluice
