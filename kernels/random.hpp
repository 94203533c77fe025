// Counter-based random numbers: a pure function of a key, the same on every device and in every order of
// calls.
#pragma once

#include <cstdint>

namespace sluice::kernels {

// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits in which every input bit reaches
// every output bit.
constexpr std::uint64_t mix64(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

// The key of the token that a request draws at `position` (0 for its first prompt token).
constexpr std::uint64_t draw_key(std::uint64_t seed, std::uint64_t position) {
    return mix64(mix64(seed) ^ position);
}

// Uniform in [0, 1) with 53 bits, for use `stream` of a key.
constexpr double uniform(std::uint64_t key, std::uint64_t stream) {
    return static_cast<double>(mix64(key ^ mix64(stream + 1)) >> 11) * 0x1.0p-53;
}

}  // namespace sluice::kernels
