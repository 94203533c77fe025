#include "text/utf8.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice {
namespace {

// The oracle, told another way than the code: decode by the lead byte's length, encode again, compare.
std::string encode(std::uint32_t c) {
    const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
    if (c < 0x80) return {byte(c)};
    if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
    if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
    return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
            byte(0x80 | (c & 0x3F))};
}

bool is_one_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    std::uint32_t value = text.size() == 1 ? lead : lead & (0x7FU >> text.size());
    for (const char c : text.substr(1)) value = value << 6 | (static_cast<unsigned char>(c) & 0x3FU);
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    return value <= 0x10FFFF && !surrogate && encode(value) == text;
}

TEST(Utf8, AcceptsEveryCharacterAndNoSurrogate) {
    for (std::uint32_t c = 0; c < 0x120000; ++c) {
        const bool character = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        ASSERT_EQ(is_valid_utf8(encode(c)), character) << c;
    }
}

// All sequences that start with a lead byte and are no longer than it says: each is one character or invalid.
TEST(Utf8, AgreesWithTheOracleOnAllTwoAndThreeByteSequences) {
    for (unsigned lead = 0xC0; lead <= 0xEF; ++lead) {
        std::string text(lead < 0xE0 ? 2 : 3, static_cast<char>(lead));
        for (unsigned rest = 0; rest < (text.size() == 2 ? 0x100U : 0x10000U); ++rest) {
            text[1] = static_cast<char>(rest & 0xFF);
            if (text.size() == 3) text[2] = static_cast<char>(rest >> 8);
            const bool expected = is_one_character(text);
            ASSERT_EQ(utf8_length_at(text, 0) == text.size(), expected) << lead << ' ' << rest;
            ASSERT_EQ(is_valid_utf8(text), expected) << lead << ' ' << rest;
        }
    }
}

TEST(Utf8, AgreesWithTheOracleOnFourByteSequencesAtTheBorders) {
    for (unsigned lead = 0xF0; lead <= 0xFF; ++lead) {
        for (unsigned second = 0; second <= 0xFF; ++second) {
            for (const unsigned third : {0x7FU, 0x80U, 0xBFU, 0xC0U}) {
                for (const unsigned fourth : {0x7FU, 0x80U, 0xBFU, 0xC0U}) {
                    const std::string text{static_cast<char>(lead), static_cast<char>(second),
                                           static_cast<char>(third), static_cast<char>(fourth)};
                    ASSERT_EQ(is_valid_utf8(text), lead < 0xF8 && is_one_character(text))
                        << lead << ' ' << second;
                }
            }
        }
    }
}

TEST(Utf8, FindsABadByteWhereverItStands) {
    for (std::size_t size = 1; size < 40; ++size) {
        EXPECT_TRUE(is_valid_utf8(std::string(size, 'a')));
        for (std::size_t at = 0; at < size; ++at) {
            std::string text(size, 'a');
            text[at] = '\x80';
            EXPECT_FALSE(is_valid_utf8(text)) << size << ' ' << at;
            text[at] = '\xC3';  // a lead byte alone, also at the very end
            EXPECT_FALSE(is_valid_utf8(text)) << size << ' ' << at;
            text.replace(at, 1, "\xC3\xA9");
            EXPECT_TRUE(is_valid_utf8(text)) << size << ' ' << at;
        }
    }
}

TEST(Utf8, RepairLeavesValidTextAndReplacesEachBadByte) {
    EXPECT_EQ(repair_utf8("na\xC3\xAFve"), "na\xC3\xAFve");
    EXPECT_EQ(repair_utf8("a\xFF\xE2\x82z"), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
    EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Utf8, ClipCutsBetweenCharacters) {
    const std::string euro = "\xE2\x82\xAC";
    const std::string text = euro + euro + euro;
    EXPECT_EQ(clip_utf8(text, 9), text);
    EXPECT_EQ(clip_utf8(text, 8), euro + euro + "...");
    EXPECT_EQ(clip_utf8(text, 6), euro + euro + "...");
    EXPECT_EQ(clip_utf8(text, 2), "...");
}

}  // namespace
}  // namespace sluice
