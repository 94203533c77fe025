#include "comm/siphash.hpp"

#include <bit>

namespace sluice {
namespace {

struct Sip {
    std::uint64_t a, b, c, d;

    void rounds(int count) {
        for (int i = 0; i < count; ++i) {
            a += b;
            b = std::rotl(b, 13) ^ a;
            a = std::rotl(a, 32);
            c += d;
            d = std::rotl(d, 16) ^ c;
            a += d;
            d = std::rotl(d, 21) ^ a;
            c += b;
            b = std::rotl(b, 17) ^ c;
            c = std::rotl(c, 32);
        }
    }
    void take(std::uint64_t word) {
        d ^= word;
        rounds(2);
        a ^= word;
    }
};

}  // namespace

std::uint64_t siphash(const SipKey& key, std::span<const std::uint64_t> words) {
    Sip sip{key[0] ^ 0x736f6d6570736575U, key[1] ^ 0x646f72616e646f6dU, key[0] ^ 0x6c7967656e657261U,
            key[1] ^ 0x7465646279746573U};
    for (const std::uint64_t word : words) sip.take(word);
    sip.take(std::uint64_t{words.size_bytes()} << 56U);
    sip.c ^= 0xff;
    sip.rounds(4);
    return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

}  // namespace sluice
