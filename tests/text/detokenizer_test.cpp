#include "text/detokenizer.hpp"

#include "byte_tokenizer.hpp"
#include "text/stop_strings.hpp"
#include "text/utf8_decode.hpp"
#include "tokenizer_files.hpp"

#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

std::string piecewise(const Tokenizer& tokenizer, const std::vector<Token>& tokens, bool skip_special) {
    Detokenizer detokenizer(tokenizer, skip_special);
    std::string text;
    for (const Token token : tokens) {
        const std::string piece = detokenizer.push(token);
        EXPECT_EQ(find_invalid_utf8(piece), std::string::npos);
        text += piece;
    }
    return text + detokenizer.finish();
}

// All bytes first, then their text: what a byte-level tokenizer's decode() must come to.
std::string at_once(const Tokenizer& tokenizer, const std::vector<Token>& tokens, bool skip_special) {
    std::string bytes;
    for (const Token token : tokens)
        if (!skip_special || !tokenizer.is_special(token)) bytes += tokenizer.bytes_of(token);
    std::string text;
    append_replacement(append_complete_utf8(bytes, text), text, false);
    return text;
}

TEST(Detokenizer, HoldsBackIncompleteCharacters) {
    const ByteTokenizer tokenizer;
    Detokenizer detokenizer(tokenizer, true);
    EXPECT_EQ(detokenizer.push(0xE6), "");
    EXPECT_EQ(detokenizer.push(300), "");  // a special token that is skipped does not break the character
    EXPECT_EQ(detokenizer.push(0xBC), "");
    EXPECT_EQ(detokenizer.push(0xA2), "\xE6\xBC\xA2");
    EXPECT_EQ(detokenizer.push(0xF0), "");
    EXPECT_EQ(detokenizer.push('a'),
              "\xEF\xBF\xBD"
              "a");
    EXPECT_EQ(detokenizer.push(0xF0), "");
    EXPECT_EQ(detokenizer.push(0x9F), "");
    EXPECT_EQ(detokenizer.finish(), "\xEF\xBF\xBD");
    EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, IsTheTextOfAllBytesTogether) {
    const ByteTokenizer tokenizer;
    std::mt19937 random(7);
    // Bytes that begin, continue and break characters, far more often than chance would have them.
    const std::vector<Token> likely = {'a',  0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0x9F,
                                       0xED, 0xF0, 0x90, 0xF4, 0x8F, 300};
    for (int round = 0; round < 5000; ++round) {
        std::vector<Token> tokens;
        for (auto n = random() % 12; n > 0; --n) {
            tokens.push_back(random() % 4 == 0 ? static_cast<Token>(random() % 256)
                                               : likely[random() % likely.size()]);
        }
        EXPECT_EQ(piecewise(tokenizer, tokens, true), at_once(tokenizer, tokens, true));
        EXPECT_EQ(piecewise(tokenizer, tokens, false), at_once(tokenizer, tokens, false));
    }
}

TEST(Detokenizer, IsTheTextOfAllTokensTogether) {
    const auto tokenizer = make_tokenizer(read_tokenizer_files(test_model()));
    std::mt19937 random(8);
    for (int round = 0; round < 1000; ++round) {
        std::vector<Token> tokens;
        for (auto n = random() % 40; n > 0; --n) tokens.push_back(static_cast<Token>(random() % 2002));
        EXPECT_EQ(piecewise(*tokenizer, tokens, true), at_once(*tokenizer, tokens, true));
    }
}

TEST(Utf8Decode, ReplacesMaximalSubparts) {
    const ByteTokenizer tokenizer;
    const std::string r(kReplacementCharacter);
    const auto decoded = [&](std::string_view bytes) {
        return decode(tokenizer, tokenizer.encode(bytes), false);
    };
    EXPECT_EQ(decoded("\xC0\x80"), r + r);
    EXPECT_EQ(decoded("\xED\xA0\x80"), r + r + r);  // a surrogate
    EXPECT_EQ(decoded("\xF0\x9F\x98"), r);
    EXPECT_EQ(decoded("\xF0\x9F\x98z"), r + "z");
    EXPECT_EQ(decoded("\xF4\x90\x80\x80"), r + r + r + r);
    EXPECT_EQ(decoded("\xE2\x82\xE2\x82\xAC"), r + "\xE2\x82\xAC");
    EXPECT_EQ(decoded("\xF0\x9F\x98\x80"), "\xF0\x9F\x98\x80");
}

TEST(Utf8Decode, CodePointsGoBothWays) {
    for (const char32_t code_point : {0x0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
        std::string text;
        append_utf8(code_point, text);
        std::string_view rest = text;
        EXPECT_EQ(take_utf8(rest), code_point);
        EXPECT_TRUE(rest.empty());
        EXPECT_EQ(find_invalid_utf8(text), std::string::npos);
    }
}

TEST(StopMatcher, FindsAStopAcrossPieces) {
    StopMatcher matcher({"END", "\n\n"});
    EXPECT_FALSE(matcher.push("some E"));
    EXPECT_FALSE(matcher.push("N"));
    EXPECT_EQ(matcher.text(), "some EN");
    EXPECT_TRUE(matcher.push("D more"));
    EXPECT_EQ(matcher.text(), "some ");
    EXPECT_TRUE(matcher.stopped());
    EXPECT_TRUE(matcher.push("dropped"));
    EXPECT_EQ(matcher.text(), "some ");
}

TEST(StopMatcher, TheOneThatBeginsFirstCounts) {
    StopMatcher matcher({"b", "abc", ""});
    EXPECT_TRUE(matcher.push("xabc"));
    EXPECT_EQ(matcher.text(), "x");
}

TEST(StopMatcher, WithoutStopsNothingStops) {
    StopMatcher matcher({});
    EXPECT_FALSE(matcher.push("abc"));
    EXPECT_FALSE(matcher.push(""));
    EXPECT_EQ(matcher.text(), "abc");
}

// The first place from which `text` is a beginning of a stop string; else its end.
std::size_t first_beginning(const std::string& text, const std::vector<std::string>& stops) {
    for (std::size_t at = 0; at < text.size(); ++at)
        for (const std::string& stop : stops)
            if (stop.starts_with(text.substr(at))) return at;
    return text.size();
}

TEST(StopMatcher, AgreesWithASearchAfterEveryPiece) {
    std::mt19937 random(9);
    for (int round = 0; round < 3000; ++round) {
        std::vector<std::string> stops(random() % 3 + 1);
        for (std::string& stop : stops) {
            for (auto n = random() % 4 + 1; n > 0; --n) stop += static_cast<char>('a' + random() % 2);
        }
        StopMatcher matcher(stops);
        std::string whole;
        std::size_t settled = 0;
        for (int i = 0; i < 8; ++i) {
            std::string piece;
            for (auto n = random() % 3; n > 0; --n) piece += static_cast<char>('a' + random() % 3);
            whole += piece;
            std::size_t first = std::string::npos;
            for (const std::string& stop : stops) first = std::min(first, whole.find(stop));
            ASSERT_EQ(matcher.push(piece), first != std::string::npos);
            ASSERT_EQ(matcher.text(), whole.substr(0, first));
            // What is settled stays, and it is as much as can be: the rest begins some stop.
            ASSERT_GE(matcher.settled(), settled);
            ASSERT_LE(matcher.settled(), matcher.text().size());
            settled = matcher.settled();
            ASSERT_EQ(settled, matcher.stopped() ? first : first_beginning(whole, stops));
            if (matcher.stopped()) break;
        }
    }
}

}  // namespace
}  // namespace sluice
