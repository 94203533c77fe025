#include "text/utf8_decode.hpp"

#include <algorithm>

namespace sluice {
namespace {

using Byte = unsigned char;

// The second byte's range depends on the first: this shuts out overlong forms, surrogates and > U+10FFFF.
bool second_byte_fits(Byte first, Byte second) {
    switch (first) {
        case 0xE0: return second >= 0xA0 && second <= 0xBF;
        case 0xED: return second >= 0x80 && second <= 0x9F;
        case 0xF0: return second >= 0x90 && second <= 0xBF;
        case 0xF4: return second >= 0x80 && second <= 0x8F;
        default: return second >= 0x80 && second <= 0xBF;
    }
}

std::size_t length_by_first_byte(Byte first) {
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return 2;
    if (first < 0xF0) return 3;
    if (first < 0xF5) return 4;
    return 0;
}

}  // namespace

Utf8Step utf8_step(std::string_view bytes) {
    const auto first = static_cast<Byte>(bytes[0]);
    const std::size_t length = length_by_first_byte(first);
    if (length == 0) return {1, Utf8State::Invalid};
    for (std::size_t i = 1; i < length; ++i) {
        if (i == bytes.size()) return {i, Utf8State::Incomplete};
        const auto next = static_cast<Byte>(bytes[i]);
        const bool fits = i == 1 ? second_byte_fits(first, next) : (next & 0xC0) == 0x80;
        if (!fits) return {i, Utf8State::Invalid};
    }
    return {length, Utf8State::Valid};
}

std::size_t append_complete_utf8(std::string_view bytes, std::string& text, bool each_byte) {
    while (!bytes.empty()) {
        const Utf8Step step = utf8_step(bytes);
        if (step.state == Utf8State::Incomplete) break;
        if (step.state == Utf8State::Valid) {
            text += bytes.substr(0, step.length);
        } else {
            append_replacement(step.length, text, each_byte);
        }
        bytes.remove_prefix(step.length);
    }
    return bytes.size();
}

void append_replacement(std::size_t size, std::string& text, bool each_byte) {
    for (std::size_t count = each_byte ? size : std::min<std::size_t>(size, 1); count > 0; --count) {
        text += kReplacementCharacter;
    }
}

std::size_t find_invalid_utf8(std::string_view bytes) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const Utf8Step step = utf8_step(bytes.substr(at));
        if (step.state != Utf8State::Valid) return at;
        at += step.length;
    }
    return std::string_view::npos;
}

void append_utf8(char32_t code_point, std::string& text) {
    const auto tail = [&](int shift) { text += static_cast<char>(0x80U | ((code_point >> shift) & 0x3FU)); };
    if (code_point < 0x80) {
        text += static_cast<char>(code_point);
    } else if (code_point < 0x800) {
        text += static_cast<char>(0xC0U | (code_point >> 6));
        tail(0);
    } else if (code_point < 0x10000) {
        text += static_cast<char>(0xE0U | (code_point >> 12));
        tail(6);
        tail(0);
    } else {
        text += static_cast<char>(0xF0U | (code_point >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

char32_t take_utf8(std::string_view& text) {
    const std::size_t length = utf8_step(text).length;
    const auto first = static_cast<Byte>(text[0]);
    char32_t code_point = length == 1 ? first : first & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        code_point = (code_point << 6) | (static_cast<Byte>(text[i]) & 0x3FU);
    }
    text.remove_prefix(length);
    return code_point;
}

}  // namespace sluice
