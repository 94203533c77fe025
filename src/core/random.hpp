// The hash that counter-based random numbers are made with.
#pragma once

#include <cstdint>

namespace sluice {

// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits in which every input bit reaches
// every output bit.
constexpr std::uint64_t mix64(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

}  // namespace sluice
