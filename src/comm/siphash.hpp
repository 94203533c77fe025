// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash whose values do not tell the key.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace sluice {

using SipKey = std::array<std::uint64_t, 2>;

// Of the words' bytes, the lowest byte of each first.
std::uint64_t siphash(const SipKey& key, std::span<const std::uint64_t> words);

}  // namespace sluice
