// Counter-based random numbers: a pure function of a key, the same on every device and in every order of
// calls.
#pragma once

#include "core/random.hpp"

#include <cstdint>

namespace sluice::kernels {

using sluice::mix64;

// The key of the token that a request draws at `position` (0 for its first prompt token).
constexpr std::uint64_t draw_key(std::uint64_t seed, std::uint64_t position) {
    return mix64(mix64(seed) ^ position);
}

// Uniform in [0, 1) with 53 bits, for use `stream` of a key.
constexpr double uniform(std::uint64_t key, std::uint64_t stream) {
    return static_cast<double>(mix64(key ^ mix64(stream + 1)) >> 11) * 0x1.0p-53;
}

}  // namespace sluice::kernels
