// xxh3-64 compiled for several instruction sets. Only for checksum*.cpp and their test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

struct ChecksumLevel {
    const char* name;
    std::uint64_t (*whole)(const void* data, std::size_t bytes);
    // `state` is a Checksum's.
    void (*reset)(void* state);
    void (*add)(void* state, const void* data, std::size_t bytes);
    std::uint64_t (*value)(const void* state);
};

extern const ChecksumLevel kChecksumGeneric, kChecksumAvx2, kChecksumAvx512;

// Those that this processor runs, the slowest first.
std::span<const ChecksumLevel* const> checksum_levels();

}  // namespace sluice
