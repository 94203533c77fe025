// The order in which sums over ranks and slices are taken.
#pragma once

#include <cstddef>
#include <span>

namespace sluice {

// into[i] = into[i] + from[i]
void add_to(float* into, const float* from, std::size_t count);

// Leaves the sum of all parts in parts[0], in the order of Communicator::all_reduce_sum; the others hold
// partial sums afterwards. Each part has `count` elements.
void tree_sum(std::span<float* const> parts, std::size_t count);

// The same sum into `into`, which is none of the parts; they stay as they are.
void tree_sum(std::span<const float* const> parts, float* into, std::size_t count);

// The elements that a rank sums for all, when they divide the work.
struct Share {
    std::size_t first;
    std::size_t count;
};
Share share_of(std::size_t total, int rank, int size);

}  // namespace sluice
