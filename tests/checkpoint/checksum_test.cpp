// The streaming checksum against the xxhash library's own function.
#include "checkpoint/checksum.hpp"
#include "checkpoint/checksum_level.hpp"

#include <gtest/gtest.h>

#include <xxhash.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

std::vector<std::byte> bytes_of(std::size_t count) {
    std::vector<std::byte> bytes(count);
    std::uint32_t state = 12345;
    for (std::byte& byte : bytes) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
    return bytes;
}

// Around the lengths at which xxh3 takes another way: 16, 128, 240 bytes, its buffer of 256, blocks of 1024.
const std::vector<std::size_t> kLengths{0,    1,    3,    4,    8,    9,    16,    17,
                                        128,  129,  240,  241,  255,  256,  257,   1023,
                                        1024, 1025, 1087, 1088, 2048, 4096, 65537, 262144};

TEST(Checksum, EveryLevelGivesTheLibrarysValue) {
    for (const ChecksumLevel* level : checksum_levels()) {
        for (const std::size_t length : kLengths) {
            const std::vector<std::byte> bytes = bytes_of(length);
            EXPECT_EQ(level->whole(bytes.data(), length), XXH3_64bits(bytes.data(), length))
                << level->name << ", " << length << " bytes";
        }
    }
}

TEST(Checksum, PiecesMakeNoDifference) {
    for (const ChecksumLevel* level : checksum_levels()) {
        for (const std::size_t length : kLengths) {
            const std::vector<std::byte> bytes = bytes_of(length);
            const std::uint64_t expected = XXH3_64bits(bytes.data(), length);
            for (const std::size_t step :
                 {std::size_t{1}, std::size_t{63}, std::size_t{256}, std::size_t{1000}, std::size_t{65536}}) {
                Checksum checksum(*level);
                const std::span<const std::byte> all(bytes);
                for (std::size_t at = 0; at < length; at += step)
                    checksum.add(all.subspan(at, std::min(step, length - at)));
                EXPECT_EQ(checksum.value(), expected)
                    << level->name << ", " << length << " bytes in pieces of " << step;
            }
        }
    }
}

TEST(Checksum, ValueMayBeAskedForInBetween) {
    const std::vector<std::byte> bytes = bytes_of(3000);
    Checksum checksum;
    for (std::size_t at = 0; at < bytes.size(); at += 500) {
        checksum.add(std::span(bytes).subspan(at, 500));
        EXPECT_EQ(checksum.value(), checksum_of(bytes.data(), at + 500));
    }
}

TEST(Checksum, TextHasSixteenDigits) { EXPECT_EQ(checksum_text(0xabc), "0000000000000abc"); }

}  // namespace
}  // namespace sluice
