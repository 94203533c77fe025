#include "text/id_ledger.hpp"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace sluice {

IdLedger::Hash IdLedger::hash_of(std::string_view text) {
    const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
    return {hash.low64 | 1U, hash.high64};  // never the free slot's zeros; costs one bit of 128
}

// Where `hash` is, or the free slot where it belongs.
std::size_t IdLedger::slot_of(const Hash& hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash.high & mask;
    while (slots_[slot] != Hash{} && slots_[slot] != hash) slot = (slot + 1) & mask;
    return slot;
}

bool IdLedger::insert(std::string_view text) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    const Hash hash = hash_of(text);
    const std::size_t slot = slot_of(hash);
    if (slots_[slot] == hash) return false;
    slots_[slot] = hash;
    ++size_;
    return true;
}

bool IdLedger::contains(std::string_view text) const {
    if (slots_.empty()) return false;
    const Hash hash = hash_of(text);
    return slots_[slot_of(hash)] == hash;
}

void IdLedger::grow() {
    const std::vector<Hash> old = std::exchange(slots_, {});
    slots_.resize(std::max<std::size_t>(64, old.size() * 2));
    for (const Hash& hash : old) {
        if (hash != Hash{}) slots_[slot_of(hash)] = hash;
    }
}

}  // namespace sluice
