// xxh3-64, the checksum of everything in a Sluice checkpoint, at the processor's own speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sluice {

struct ChecksumLevel;

// Of bytes that come piece by piece; how they are cut makes no difference.
class Checksum {
public:
    Checksum();
    // With the instructions of one level, for tests.
    explicit Checksum(const ChecksumLevel& level);

    void add(std::span<const std::byte> bytes);
    std::uint64_t value() const;  // of all bytes so far

private:
    const ChecksumLevel* level_;
    alignas(64) std::byte state_[576];  // xxhash's own, whose header stays out of here
};

std::uint64_t checksum_of(const void* data, std::size_t bytes);

// 16 hexadecimal digits, the value's highest first.
std::string checksum_text(std::uint64_t hash);

}  // namespace sluice
