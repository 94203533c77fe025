// Regular expressions as tokenizer files write them: in Oniguruma's Ruby syntax, run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct TextRange {
    std::size_t begin;
    std::size_t end;
};

// Immutable and cheap to copy; may be used by several threads at once.
class Regex {
public:
    // Errors: ExitCode::Checkpoint, naming `where`, the pattern and the construct that is not supported.
    static Regex from_oniguruma(std::string_view pattern, const std::string& where);

    // Matches exactly this text.
    static Regex literal(std::string_view text);

    // Appends all matches from left to right; they do not overlap, and no empty match touches the end of the
    // one before. `text` must be UTF-8. Errors: ExitCode::File when matching exceeds its limits of steps or
    // memory.
    void find_all(std::string_view text, std::vector<TextRange>& matches) const;

private:
    struct Program;
    Regex(const std::string& pcre_pattern, unsigned options, const std::string& shown,
          const std::string& where);
    std::shared_ptr<const Program> program_;
};

// The PCRE2 pattern that means what `pattern` means to Oniguruma, also for characters newer than the Unicode
// version of the PCRE2 library. Errors as for Regex::from_oniguruma.
std::string pcre_from_oniguruma(std::string_view pattern, const std::string& where);

// White_Space of the Unicode standard, written for the inside of a PCRE2 character class.
inline constexpr std::string_view kWhiteSpaceClass =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

}  // namespace sluice
