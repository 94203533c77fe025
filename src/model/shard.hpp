// Which slices of a checkpoint a rank holds.
#pragma once

#include "model/catalog.hpp"

#include <bit>
#include <string>
#include <vector>

namespace sluice {

// Rank `rank` of `ranks` holds the slices [slices * rank / ranks, slices * (rank + 1) / ranks).
struct Shard {
    int rank = 0, ranks = 1, slices = 1;
    int first() const { return slices / ranks * rank; }
    int count() const { return slices / ranks; }
    // Whether sums over slices come out in the one order of all such rank counts (see
    // Communicator::all_reduce_sum).
    bool sums_by_slices() const { return ranks == 1 || std::has_single_bit(static_cast<unsigned>(count())); }
    // What this rank holds of `total` units that the slices divide.
    Range range(std::int64_t total) const {
        return {part_of(total, first(), slices).begin, part_of(total, first() + count() - 1, slices).end};
    }
};

// The tensor-parallel rank counts that a checkpoint of `slices` slices runs on, e.g. "1, 2, 4 or 8".
std::string possible_ranks(int slices);

}  // namespace sluice
