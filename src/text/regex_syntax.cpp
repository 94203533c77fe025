// Oniguruma's Ruby syntax rewritten for PCRE2. The two agree on most of it; what differs is rewritten, and
// what is neither the same nor rewritten is refused.
#include "text/regex.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace sluice {
namespace {

struct NewCharacters {
    std::string_view property;
    unsigned first;
    unsigned last;
};

// Characters of Unicode 15.0 to 16.0 by general category (and Han). Tokenizers know them; PCRE2 before 10.45
// does not. For a newer PCRE2 this table adds nothing.
// clang-format off
constexpr NewCharacters kNewCharacters[] = {
    {"Han", 0x2b739, 0x2b739}, {"Han", 0x2ebf0, 0x2ee5d}, {"Han", 0x31350, 0x323af},
    {"Cf", 0x13439, 0x1343f}, {"Ll", 0x1c8a, 0x1c8a}, {"Ll", 0xa7cd, 0xa7cd}, {"Ll", 0xa7db, 0xa7db},
    {"Ll", 0x10d70, 0x10d85}, {"Ll", 0x1df25, 0x1df2a}, {"Lm", 0x10d4e, 0x10d4e}, {"Lm", 0x10d6f, 0x10d6f},
    {"Lm", 0x16d40, 0x16d42}, {"Lm", 0x16d6b, 0x16d6c}, {"Lm", 0x1e030, 0x1e06d}, {"Lm", 0x1e4eb, 0x1e4eb},
    {"Lo", 0x105c0, 0x105f3}, {"Lo", 0x10d4a, 0x10d4d}, {"Lo", 0x10d4f, 0x10d4f}, {"Lo", 0x10ec2, 0x10ec4},
    {"Lo", 0x1123f, 0x11240}, {"Lo", 0x11380, 0x11389}, {"Lo", 0x1138b, 0x1138b}, {"Lo", 0x1138e, 0x1138e},
    {"Lo", 0x11390, 0x113b5}, {"Lo", 0x113b7, 0x113b7}, {"Lo", 0x113d1, 0x113d1}, {"Lo", 0x113d3, 0x113d3},
    {"Lo", 0x11bc0, 0x11be0}, {"Lo", 0x11f02, 0x11f02}, {"Lo", 0x11f04, 0x11f10}, {"Lo", 0x11f12, 0x11f33},
    {"Lo", 0x1342f, 0x1342f}, {"Lo", 0x13441, 0x13446}, {"Lo", 0x13460, 0x143fa}, {"Lo", 0x16100, 0x1611d},
    {"Lo", 0x16d43, 0x16d6a}, {"Lo", 0x18cff, 0x18cff}, {"Lo", 0x1b132, 0x1b132}, {"Lo", 0x1b155, 0x1b155},
    {"Lo", 0x1e4d0, 0x1e4ea}, {"Lo", 0x1e5d0, 0x1e5ed}, {"Lo", 0x1e5f0, 0x1e5f0}, {"Lo", 0x2b739, 0x2b739},
    {"Lo", 0x2ebf0, 0x2ee5d}, {"Lo", 0x31350, 0x323af}, {"Lu", 0x1c89, 0x1c89}, {"Lu", 0xa7cb, 0xa7cc},
    {"Lu", 0xa7da, 0xa7da}, {"Lu", 0xa7dc, 0xa7dc}, {"Lu", 0x10d50, 0x10d65}, {"Mc", 0xcf3, 0xcf3},
    {"Mc", 0x113b8, 0x113ba}, {"Mc", 0x113c2, 0x113c2}, {"Mc", 0x113c5, 0x113c5}, {"Mc", 0x113c7, 0x113ca},
    {"Mc", 0x113cc, 0x113cd}, {"Mc", 0x113cf, 0x113cf}, {"Mc", 0x11f03, 0x11f03}, {"Mc", 0x11f34, 0x11f35},
    {"Mc", 0x11f3e, 0x11f3f}, {"Mc", 0x11f41, 0x11f41}, {"Mc", 0x1612a, 0x1612c}, {"Mn", 0x897, 0x897},
    {"Mn", 0xece, 0xece}, {"Mn", 0x10d69, 0x10d6d}, {"Mn", 0x10efc, 0x10eff}, {"Mn", 0x11241, 0x11241},
    {"Mn", 0x113bb, 0x113c0}, {"Mn", 0x113ce, 0x113ce}, {"Mn", 0x113d0, 0x113d0}, {"Mn", 0x113d2, 0x113d2},
    {"Mn", 0x113e1, 0x113e2}, {"Mn", 0x11f00, 0x11f01}, {"Mn", 0x11f36, 0x11f3a}, {"Mn", 0x11f40, 0x11f40},
    {"Mn", 0x11f42, 0x11f42}, {"Mn", 0x11f5a, 0x11f5a}, {"Mn", 0x13440, 0x13440}, {"Mn", 0x13447, 0x13455},
    {"Mn", 0x1611e, 0x16129}, {"Mn", 0x1612d, 0x1612f}, {"Mn", 0x1e08f, 0x1e08f}, {"Mn", 0x1e4ec, 0x1e4ef},
    {"Mn", 0x1e5ee, 0x1e5ef}, {"Nd", 0x10d40, 0x10d49}, {"Nd", 0x116d0, 0x116e3}, {"Nd", 0x11bf0, 0x11bf9},
    {"Nd", 0x11f50, 0x11f59}, {"Nd", 0x16130, 0x16139}, {"Nd", 0x16d70, 0x16d79}, {"Nd", 0x1ccf0, 0x1ccf9},
    {"Nd", 0x1e4f0, 0x1e4f9}, {"Nd", 0x1e5f1, 0x1e5fa}, {"No", 0x1d2c0, 0x1d2d3}, {"Pd", 0x10d6e, 0x10d6e},
    {"Po", 0x1b4e, 0x1b4f}, {"Po", 0x1b7f, 0x1b7f}, {"Po", 0x113d4, 0x113d5}, {"Po", 0x113d7, 0x113d8},
    {"Po", 0x11b00, 0x11b09}, {"Po", 0x11be1, 0x11be1}, {"Po", 0x11f43, 0x11f4f}, {"Po", 0x16d6d, 0x16d6f},
    {"Po", 0x1e5ff, 0x1e5ff}, {"Sm", 0x10d8e, 0x10d8f}, {"So", 0x2427, 0x2429}, {"So", 0x2ffc, 0x2fff},
    {"So", 0x31e4, 0x31e5}, {"So", 0x31ef, 0x31ef}, {"So", 0x1cc00, 0x1ccef}, {"So", 0x1cd00, 0x1ceb3},
    {"So", 0x1f6dc, 0x1f6dc}, {"So", 0x1f774, 0x1f776}, {"So", 0x1f77b, 0x1f77f}, {"So", 0x1f7d9, 0x1f7d9},
    {"So", 0x1f8b2, 0x1f8bb}, {"So", 0x1f8c0, 0x1f8c1}, {"So", 0x1fa75, 0x1fa77}, {"So", 0x1fa87, 0x1fa89},
    {"So", 0x1fa8f, 0x1fa8f}, {"So", 0x1faad, 0x1faaf}, {"So", 0x1fabb, 0x1fabf}, {"So", 0x1fac6, 0x1fac6},
    {"So", 0x1face, 0x1facf}, {"So", 0x1fada, 0x1fadc}, {"So", 0x1fadf, 0x1fadf}, {"So", 0x1fae8, 0x1fae9},
    {"So", 0x1faf7, 0x1faf8}, {"So", 0x1fbcb, 0x1fbef},
};
// clang-format on

constexpr std::array<std::string_view, 35> kCategories = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N", "Nd",
    "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm",
    "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

// A property as the inside of a character class.
std::string property_class(std::string_view name) {
    const bool is_category = std::find(kCategories.begin(), kCategories.end(), name) != kCategories.end();
    // A bare script name is the Script property to Oniguruma, Script_Extensions to PCRE2.
    std::string text = fmt::format("\\p{{{}{}}}", is_category ? "" : "sc:", name);
    for (const NewCharacters& added : kNewCharacters) {
        const bool whole = added.property == name;
        const bool part = name.size() == 1 && added.property.size() == 2 && added.property[0] == name[0];
        if (whole || part) text += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", added.first, added.last);
    }
    return text;
}

// Oniguruma's \w: letters, marks, decimal digits, letter numbers, connectors, and a few more.
std::string word_class() {
    std::string text;
    for (const char* name : {"L", "M", "Nd", "Nl", "Pc"}) text += property_class(name);
    return text + R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}\x{24b6}-\x{24e9})"
                  R"(\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
}

class Translator {
public:
    Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

    std::string run() {
        while (at_ < pattern_.size()) {
            switch (pattern_[at_]) {
                case '\\': escape(false); break;
                case '[': character_class(); break;
                case '(': group(); break;
                case '{': repeat(); break;
                default: copy(1);
            }
        }
        return std::move(out_);
    }

private:
    [[noreturn]] void refuse(std::string_view construct) const {
        fail(ExitCode::Checkpoint,
             "{}: the regular expression \"{}\" uses {} at byte {}, which is not supported", where_, pattern_,
             construct, at_);
    }

    bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

    void copy(std::size_t length) {
        out_ += pattern_.substr(at_, length);
        at_ += length;
    }

    // A set that stands for itself: bare inside a class, in brackets outside.
    void emit_set(const std::string& set, bool negated, bool in_class) {
        if (in_class && negated) refuse("a negated set inside a character class");
        out_ += in_class ? set : fmt::format("[{}{}]", negated ? "^" : "", set);
        if (in_class && next_is("-") && !next_is("-]")) {  // a plain hyphen: no range can begin with a set
            out_ += "\\-";
            ++at_;
        }
    }

    void property(bool in_class) {
        bool negated = pattern_[at_ + 1] == 'P';
        const std::size_t close = pattern_.find('}', at_);
        if (pattern_.substr(at_ + 2, 1) != "{" || close == std::string_view::npos)
            refuse("\\p without a name");
        std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
        if (name.starts_with('^')) {
            negated = !negated;
            name.remove_prefix(1);
        }
        at_ = close + 1;
        emit_set(property_class(name), negated, in_class);
    }

    void code_point() {  // \xHH, \x{H...} or \uHHHH
        const bool braces = next_is("\\x{");
        const std::size_t begin = at_ + (braces ? 3 : 2);
        const std::size_t most = braces ? 6 : pattern_[at_ + 1] == 'u' ? 4 : 2;
        std::size_t end = begin;
        while (end < pattern_.size() && end - begin < most &&
               std::isxdigit(static_cast<unsigned char>(pattern_[end])) != 0) {
            ++end;
        }
        const std::string digits(pattern_.substr(begin, end - begin));
        const bool whole =
            !digits.empty() && (braces ? pattern_.substr(end, 1) == "}" : digits.size() == most);
        // A bare \x80 or above is a byte to Oniguruma, not a character.
        if (!whole || (!braces && most == 2 && digits[0] > '7'))
            refuse("an escape that is not a whole character");
        out_ += "\\x{" + digits + "}";
        at_ = end + (braces ? 1 : 0);
    }

    void escape(bool in_class) {
        if (at_ + 1 == pattern_.size()) refuse("a backslash at the end");
        const char kind = pattern_[at_ + 1];
        const bool upper = std::isupper(static_cast<unsigned char>(kind)) != 0;
        const auto set = [&](const std::string& members) {
            at_ += 2;
            emit_set(members, upper, in_class);
        };
        switch (kind) {
            case 'p':
            case 'P': return property(in_class);
            case 's':
            case 'S': return set(std::string(kWhiteSpaceClass));
            case 'd':
            case 'D': return set(property_class("Nd"));
            case 'w':
            case 'W': return set(word_class());
            case 'x':
            case 'u': return code_point();
            case 'v':  // one character to Oniguruma, a class to PCRE2
                out_ += "\\x{b}";
                at_ += 2;
                return;
            case 'r':
            case 'n':
            case 't':
            case 'f':
            case 'a':
            case 'e': return copy(2);
            case 'A':
            case 'z':
                if (!in_class) return copy(2);
                break;
            default:
                if (std::ispunct(static_cast<unsigned char>(kind)) != 0 || kind == ' ') return copy(2);
        }
        refuse(fmt::format("\"{}\"", pattern_.substr(at_, 2)));
    }

    void character_class() {
        copy(1);
        if (next_is("^")) copy(1);
        if (next_is("]")) refuse("an empty character class");
        while (at_ < pattern_.size() && pattern_[at_] != ']') {
            if (next_is("[")) refuse("a nested character class");
            if (next_is("&&")) refuse("an intersection of character classes");
            if (pattern_[at_] == '\\') {
                escape(true);
            } else {
                copy(1);
            }
        }
        if (at_ == pattern_.size()) refuse("a character class without an end");
        copy(1);
    }

    void group() {
        for (const std::string_view open : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
            if (next_is(open)) return copy(open.size());
        }
        // Elsewhere than at the start the two differ on how far the option reaches.
        if (at_ == 0 && next_is("(?i)")) return copy(4);
        if (next_is("(?") || next_is("(*")) refuse(fmt::format("\"{}\"", pattern_.substr(at_, 4)));
        copy(1);
    }

    void repeat() {
        const std::size_t close = pattern_.find('}', at_);
        const std::string_view inside =
            close == std::string_view::npos ? "" : pattern_.substr(at_ + 1, close - at_ - 1);
        const std::size_t comma = inside.find(',');
        const bool digits = inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                            inside.find_first_of("0123456789") != std::string_view::npos &&
                            comma == inside.rfind(',');
        if (!digits) {
            out_ += "\\{";
            ++at_;
            return;
        }
        out_ += comma == 0 ? fmt::format("{{0{}}}", inside) : fmt::format("{{{}}}", inside);
        at_ = close + 1;
        // Oniguruma: "repeat that", and "that, or nothing"; PCRE2: possessive, and reluctant.
        if (next_is("+")) refuse("\"+\" after a counted repeat");
        if (next_is("?") && comma == std::string_view::npos) refuse("\"?\" after a counted repeat");
    }

    std::string_view pattern_;
    const std::string& where_;
    std::size_t at_ = 0;
    std::string out_;
};

}  // namespace

std::string pcre_from_oniguruma(std::string_view pattern, const std::string& where) {
    return Translator(pattern, where).run();
}

}  // namespace sluice
