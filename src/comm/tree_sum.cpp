#include "comm/tree_sum.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace sluice {
namespace {

// Elements that are taken through the whole tree at once: their partial sums stay in the first cache.
constexpr std::size_t kBlock = 512;

}  // namespace

void add_to(float* into, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) into[i] += from[i];
}

void tree_sum(std::span<float* const> parts, std::size_t count) {
    for (std::size_t distance = 1; distance < parts.size(); distance *= 2)
        for (std::size_t left = 0; left + distance < parts.size(); left += 2 * distance)
            add_to(parts[left], parts[left + distance], count);
}

void tree_sum(std::span<const float* const> parts, float* into, std::size_t count) {
    const std::size_t pairs = (parts.size() + 1) / 2;  // the tree's first level, an odd one out included
    const auto scratch = std::make_unique_for_overwrite<float[]>((pairs - 1) * kBlock);
    std::vector<float*> sums(pairs);
    for (std::size_t pair = 1; pair < pairs; ++pair) sums[pair] = scratch.get() + (pair - 1) * kBlock;
    for (std::size_t first = 0; first < count; first += kBlock) {
        const std::size_t width = std::min(kBlock, count - first);
        sums[0] = into + first;
        for (std::size_t pair = 0; pair < pairs; ++pair) {
            std::copy_n(parts[2 * pair] + first, width, sums[pair]);
            if (2 * pair + 1 < parts.size()) add_to(sums[pair], parts[2 * pair + 1] + first, width);
        }
        tree_sum(sums, width);
    }
}

Share share_of(std::size_t total, int rank, int size) {
    const auto parts = static_cast<std::size_t>(size);
    const auto part = static_cast<std::size_t>(rank);
    const std::size_t each = total / parts;
    const std::size_t extra = total % parts;
    return {part * each + std::min(part, extra), each + (part < extra ? 1 : 0)};
}

}  // namespace sluice
