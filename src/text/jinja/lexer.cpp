#include "text/jinja/lexer.hpp"

#include "core/error.hpp"
#include "text/utf8_decode.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace sluice::jinja {
namespace {

constexpr std::string_view kBlanks = " \t\n\r\f\v";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Every end of line becomes \n, and one at the very end goes, as in Jinja.
std::string normal_lines(const std::string& source) {
    std::string text;
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            text += source[i];
        } else {
            text += '\n';
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
        }
    }
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

class Lexer {
public:
    explicit Lexer(const std::string& source) : source_(normal_lines(source)) {}

    std::vector<LexToken> run() {
        while (at_ < source_.size()) {
            const std::size_t tag = find_tag();
            text_before(tag);
            if (tag == std::string::npos) break;
            at_ = tag;
            if (source_[tag + 1] == '#') {
                comment();
            } else if (const std::size_t body = after_tag(tag, "raw"); body != std::string::npos) {
                raw(body);
            } else {
                this->tag();
            }
        }
        add(TokenKind::End, "", source_.size());
        return std::move(tokens_);
    }

private:
    std::size_t find_tag() const {
        for (std::size_t i = at_; (i = source_.find('{', i)) != std::string::npos; ++i) {
            const char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
            if (next == '{' || next == '%' || next == '#') return i;
        }
        return std::string::npos;
    }

    void add(TokenKind kind, std::string text, std::size_t at) {
        for (; counted_ < at; ++counted_) {
            if (source_[counted_] == '\n') {
                ++line_;
                line_begin_ = counted_ + 1;
            }
        }
        tokens_.push_back({kind, std::move(text), {line_, static_cast<int>(at - line_begin_) + 1}});
    }

    [[noreturn]] void refuse(std::size_t at, const std::string& message) const {
        const std::size_t line_begin = at == 0 ? 0 : source_.rfind('\n', at - 1) + 1;  // npos + 1 is 0
        const auto lines =
            std::count(source_.begin(), source_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
        refuse_template(
            {TokenKind::End, "", {static_cast<int>(lines) + 1, static_cast<int>(at - line_begin) + 1}},
            message);
    }

    char sign_at(std::size_t at) const { return at < source_.size() ? source_[at] : '\0'; }

    // Text up to a tag, or to the end. A tag with "-" takes all blanks before it; a block or comment alone on
    // its line takes its indentation (lstrip_blocks), unless it has "+".
    void text_before(std::size_t tag) {
        std::string text = source_.substr(at_, tag == std::string::npos ? tag : tag - at_);
        if (tag != std::string::npos) {
            const char sign = sign_at(tag + 2);
            const std::size_t last = text.find_last_not_of(kBlanks);
            const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
            const bool alone = (line > 0 || at_line_start_) && (last == std::string::npos || last < line);
            if (sign == '-') {
                text.resize(last + 1);
            } else if (sign != '+' && source_[tag + 1] != '{' && alone) {
                text.resize(line);
            }
        }
        if (!text.empty()) add(TokenKind::Text, text, at_);
    }

    // After a tag's end at `end`: "-" takes all blanks that follow, a block or comment one end of line
    // (trim_blocks), unless it has "+".
    void finish_tag(std::size_t end, char sign, bool trims) {
        at_ = end;
        if (sign == '-') {
            at_ = std::min(source_.find_first_not_of(kBlanks, at_), source_.size());
        } else if (trims && sign != '+' && sign_at(at_) == '\n') {
            ++at_;
        }
        at_line_start_ = source_[at_ - 1] == '\n';
    }

    void comment() {
        const std::size_t close = source_.find("#}", at_ + 2);
        if (close == std::string::npos) refuse(at_, "a comment without an end");
        finish_tag(close + 2, close > at_ + 2 ? source_[close - 1] : '\0', true);
    }

    // The end of a {% NAME %} that begins at `at`; npos: something else does.
    std::size_t after_tag(std::size_t at, std::string_view name) const {
        std::string_view rest = std::string_view(source_).substr(at);
        const auto skip = [&](std::string_view text) {
            const bool found = rest.starts_with(text);
            if (found) rest.remove_prefix(text.size());
            return found;
        };
        const auto skip_blanks = [&] {
            rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
        };
        if (!skip("{%")) return std::string::npos;
        if (!skip("-")) skip("+");
        skip_blanks();
        if (!skip(name)) return std::string::npos;
        skip_blanks();
        if (!skip("-")) skip("+");
        return skip("%}") ? source_.size() - rest.size() : std::string::npos;
    }

    // {% raw %}, whose tag ends at `body`: text up to {% endraw %}, whatever it looks like.
    void raw(std::size_t body) {
        const std::size_t begin = at_;
        finish_tag(body, source_[body - 3], false);
        for (std::size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
            const std::size_t end = after_tag(tag, "endraw");
            if (end == std::string::npos) continue;
            text_before(tag);
            return finish_tag(end, source_[end - 3], true);
        }
        refuse(begin, "raw without {% endraw %}");
    }

    void tag() {
        const bool output = source_[at_ + 1] == '{';
        const std::size_t begin = at_;
        add(output ? TokenKind::OutputBegin : TokenKind::BlockBegin, source_.substr(at_, 2), at_);
        at_ += 2;
        if (sign_at(at_) == '-' || sign_at(at_) == '+') ++at_;
        const std::string_view close = output ? "}}" : "%}";
        std::string open_brackets;
        while (true) {
            at_ = std::min(source_.find_first_not_of(kBlanks, at_), source_.size());
            if (at_ == source_.size()) refuse(begin, "a tag without an end");
            const std::string_view rest = std::string_view(source_).substr(at_);
            const bool signed_end =
                (rest[0] == '-' || (rest[0] == '+' && !output)) && rest.substr(1).starts_with(close);
            if (open_brackets.empty() && (signed_end || rest.starts_with(close))) {
                add(output ? TokenKind::OutputEnd : TokenKind::BlockEnd, std::string(close), at_);
                return finish_tag(at_ + close.size() + (signed_end ? 1 : 0), signed_end ? rest[0] : '\0',
                                  !output);
            }
            expression_token(open_brackets);
        }
    }

    void expression_token(std::string& open_brackets) {
        const char c = source_[at_];
        if (is_name_start(c)) {
            std::size_t end = at_;
            while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
            return take(TokenKind::Name, end);
        }
        if (is_digit(c)) return number();
        if (c == '\'' || c == '"') return string(c);
        for (const std::string_view operation : {"**", "//", "==", "!=", "<=", ">="}) {
            if (std::string_view(source_).substr(at_).starts_with(operation))
                return take(TokenKind::Operator, at_ + 2);
        }
        if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == std::string_view::npos) {
            refuse(at_, fmt::format("the character '{}' is not expected", c));
        }
        if (c == '(' || c == '[' || c == '{') open_brackets += c;
        if ((c == ')' || c == ']' || c == '}') && !open_brackets.empty()) open_brackets.pop_back();
        take(TokenKind::Operator, at_ + 1);
    }

    void take(TokenKind kind, std::size_t end) {
        add(kind, source_.substr(at_, end - at_), at_);
        at_ = end;
    }

    void number() {
        std::size_t end = at_;
        while (is_digit(sign_at(end))) ++end;
        const bool fraction = sign_at(end) == '.' && is_digit(sign_at(end + 1));
        if (fraction) {
            for (++end; is_digit(sign_at(end));) ++end;
        }
        if (is_name_start(sign_at(end))) refuse(at_, "a number of this form is not supported");
        take(fraction ? TokenKind::Float : TokenKind::Integer, end);
    }

    void string(char quote) {
        const std::size_t begin = at_++;
        std::string text;
        while (sign_at(at_) != quote) {
            if (at_ == source_.size()) refuse(begin, "a string without an end");
            if (source_[at_] == '\\') {
                escape(text);
            } else {
                text += source_[at_++];
            }
        }
        add(TokenKind::String, std::move(text), begin);
        ++at_;
    }

    void escape(std::string& text) {
        static constexpr std::string_view kNames = "nrtabfv\\'\"\n";
        static constexpr std::string_view kValues = "\n\r\t\a\b\f\v\\'\"";
        const char kind = sign_at(at_ + 1);
        const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
        if (const std::size_t known = kNames.find(kind); known != std::string_view::npos) {
            if (known < kValues.size())
                text += kValues[known];  // a backslash at the end of a line joins lines
            at_ += 2;
        } else if (digits > 0) {
            const std::string hex = source_.substr(std::min(at_ + 2, source_.size()), digits);
            const bool whole =
                hex.size() == digits && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
            const unsigned long code_point = whole ? std::stoul(hex, nullptr, 16) : 0xD800;
            const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
            if (surrogate || code_point > 0x10FFFF) refuse(at_, "an escape that is no character");
            append_utf8(static_cast<char32_t>(code_point), text);
            at_ += 2 + digits;
        } else if (is_digit(kind) || kind == 'N') {
            refuse(at_, fmt::format("the escape \\{} is not supported", kind));
        } else {
            text += source_[at_++];  // as in Python, an unknown escape is itself
        }
    }

    std::string source_;
    std::size_t at_ = 0;
    bool at_line_start_ = true;
    std::vector<LexToken> tokens_;
    std::size_t counted_ = 0;  // lines are counted up to here
    std::size_t line_begin_ = 0;
    int line_ = 1;
};

}  // namespace

std::vector<LexToken> lex(const std::string& source) { return Lexer(source).run(); }

void refuse_template(const LexToken& at, const std::string& message) {
    fail(ExitCode::Checkpoint, "chat template, line {}, column {}: {}", at.place.line, at.place.column,
         message);
}

}  // namespace sluice::jinja
