#include "comm/tree_sum.hpp"

namespace sluice {

void add_to(float* into, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) into[i] += from[i];
}

void tree_sum(std::span<float* const> parts, std::size_t count) {
    for (std::size_t distance = 1; distance < parts.size(); distance *= 2)
        for (std::size_t left = 0; left + distance < parts.size(); left += 2 * distance)
            add_to(parts[left], parts[left + distance], count);
}

}  // namespace sluice
