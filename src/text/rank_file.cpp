#include "text/rank_file.hpp"

#include "core/error.hpp"
#include "text/bpe.hpp"

#include <charconv>
#include <cstdint>
#include <optional>

namespace sluice {
namespace {

struct RankedToken {
    std::string bytes;
    std::size_t rank;
};

// Base64 as of RFC 4648, section 4: with padding, and nothing else between.
std::optional<std::string> decode_base64(std::string_view text) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (text.empty() || text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t value = kAlphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xFFFFU;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>(bits >> count & 0xFFU);
    }
    return bytes;
}

std::optional<RankedToken> parse(std::string_view line) {
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    const std::string_view digits = line.substr(blank + 1);
    RankedToken token{};
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), token.rank);
    if (digits.empty() || end.ec != std::errc() || end.ptr != digits.data() + digits.size())
        return std::nullopt;
    std::optional<std::string> bytes = decode_base64(line.substr(0, blank));
    if (!bytes) return std::nullopt;
    token.bytes = std::move(*bytes);
    return token;
}

// The line at the start of `text`, which it is taken off; without its end.
std::string_view take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

}  // namespace

bool is_rank_file(std::string_view text) { return parse(take_line(text)).has_value(); }

std::vector<std::string> read_rank_file(std::string_view text, const std::string& where) {
    std::vector<RankedToken> lines;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::string_view line = take_line(text);
        if (line.empty()) continue;
        std::optional<RankedToken> token = parse(line);
        require(token.has_value(), ExitCode::Checkpoint,
                "{}:{}: not a token in base64, a blank and its rank; the file is broken or cut short", where,
                number);
        require(!token->bytes.empty() && token->bytes.size() <= kMaxRankedBytes, ExitCode::Checkpoint,
                "{}:{}: a token of {} bytes; 1 to {} are supported", where, number, token->bytes.size(),
                kMaxRankedBytes);
        lines.push_back(std::move(*token));
    }
    std::vector<std::string> tokens(lines.size());
    require(tokens.size() < static_cast<std::size_t>(kMaxTokens), ExitCode::Checkpoint,
            "{}: more than {} tokens are not supported", where, kMaxTokens);
    for (RankedToken& token : lines) {
        require(token.rank < tokens.size() && tokens[token.rank].empty(), ExitCode::Checkpoint,
                "{}: the rank {} {}; the ranks of {} tokens are 0 to {}, each once", where, token.rank,
                token.rank < tokens.size() ? "stands twice" : "is too high", tokens.size(),
                tokens.size() - 1);
        tokens[token.rank] = std::move(token.bytes);
    }
    return tokens;
}

}  // namespace sluice
