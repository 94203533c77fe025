// Which ids have been seen, in 22 to 43 bytes an id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice {

// A set of texts that remembers only their 128-bit xxh3 hashes: among 10^9 ids, the chance that any two
// collide is about 10^-21. Open addressing; at most 3/4 of the slots are taken.
class IdLedger {
public:
    bool insert(std::string_view text);  // false when it was there
    bool contains(std::string_view text) const;
    std::size_t size() const { return size_; }

private:
    struct Hash {
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        bool operator==(const Hash&) const = default;
    };
    static Hash hash_of(std::string_view text);
    std::size_t slot_of(const Hash& hash) const;
    void grow();

    std::vector<Hash> slots_;  // a power of two of them; all zeros: free
    std::size_t size_ = 0;
};

}  // namespace sluice
