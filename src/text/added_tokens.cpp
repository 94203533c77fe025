#include "text/added_tokens.hpp"

#include "text/regex.hpp"
#include "text/utf8_decode.hpp"

#include <algorithm>

namespace sluice {
namespace {

bool is_blank(std::string_view character) {
    static const Regex blank = Regex::from_oniguruma("\\s", "blanks");
    std::vector<TextRange> matches;
    blank.find_all(character, matches);
    return !matches.empty();
}

bool is_word(std::string_view character) {
    // Unlike Oniguruma's \w, this one has the two joiners and no superscripts or fractions.
    static const Regex word = Regex::from_oniguruma(
        R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169})"
        R"(\x{1f170}-\x{1f189}])",
        "words");
    std::vector<TextRange> matches;
    word.find_all(character, matches);
    return !matches.empty();
}

std::string_view first_character(std::string_view text) { return text.substr(0, utf8_step(text).length); }

std::string_view last_character(std::string_view text) {
    std::size_t at = text.size() - 1;
    while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    return text.substr(at);
}

std::size_t blanks_at_end(std::string_view text) {
    std::size_t length = 0;
    while (!text.empty() && is_blank(last_character(text))) {
        length += last_character(text).size();
        text.remove_suffix(last_character(text).size());
    }
    return length;
}

std::size_t blanks_at_start(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size() && is_blank(first_character(text.substr(length)))) {
        length += first_character(text.substr(length)).size();
    }
    return length;
}

}  // namespace

void AddedTokens::Tree::add(std::string_view content, std::size_t token) {
    std::uint32_t node = 0;
    for (const char c : content) {
        const std::uint64_t key = std::uint64_t{node} << 8 | static_cast<unsigned char>(c);
        const auto [found, is_new] = next_.emplace(key, static_cast<std::uint32_t>(token_of_.size()));
        if (is_new) token_of_.push_back(-1);
        node = found->second;
    }
    token_of_[node] = static_cast<int>(token);
}

int AddedTokens::Tree::longest_at_start(std::string_view text) const {
    int longest = -1;
    std::uint32_t node = 0;
    for (const char c : text) {
        const auto found = next_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(c));
        if (found == next_.end()) break;
        node = found->second;
        if (token_of_[node] >= 0) longest = token_of_[node];
    }
    return longest;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        (tokens_[i].normalized ? normalized_ : exact_).add(tokens_[i].content, i);
    }
}

void AddedTokens::split_by(const Tree& tree, std::string_view text, std::vector<Part>& parts) const {
    std::size_t done = 0;  // where the last token, with the blanks it took, ends
    std::size_t at = 0;
    while (at < text.size()) {
        const int index = tree.longest_at_start(text.substr(at));
        if (index < 0) {
            ++at;
            continue;
        }
        const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
        std::size_t begin = at;
        std::size_t end = at + token.content.size();
        at = end;
        const bool inside_word = (begin > 0 && is_word(last_character(text.substr(0, begin)))) ||
                                 (end < text.size() && is_word(first_character(text.substr(end))));
        if (token.single_word && inside_word) continue;
        if (token.lstrip) begin = std::max(begin - blanks_at_end(text.substr(0, begin)), done);
        if (token.rstrip) end += blanks_at_start(text.substr(end));
        if (done < begin) parts.push_back({text.substr(done, begin - done), nullptr});
        parts.push_back({text.substr(begin, end - begin), &token});
        done = end;
    }
    if (done < text.size()) parts.push_back({text.substr(done), nullptr});
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
    std::vector<Part> coarse;
    split_by(exact_, text, coarse);
    std::vector<Part> parts;
    for (const Part& part : coarse) {
        if (part.token != nullptr) {
            parts.push_back(part);
        } else {
            split_by(normalized_, part.text, parts);
        }
    }
    return parts;
}

}  // namespace sluice
