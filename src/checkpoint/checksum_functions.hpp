// xxhash's own code, compiled into one source file for that file's instruction set. Only for checksum_*.cpp.
#pragma once

#include "checkpoint/checksum_level.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice {
namespace {

static_assert(sizeof(XXH3_state_t) == 576 && alignof(XXH3_state_t) == 64);

XXH3_state_t* state_at(void* state) { return static_cast<XXH3_state_t*>(state); }

std::uint64_t checksum_whole(const void* data, std::size_t bytes) { return XXH3_64bits(data, bytes); }
void checksum_reset(void* state) { XXH3_64bits_reset(state_at(state)); }
void checksum_add(void* state, const void* data, std::size_t bytes) {
    XXH3_64bits_update(state_at(state), data, bytes);
}
std::uint64_t checksum_value(const void* state) {
    return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state));
}

}  // namespace
}  // namespace sluice
