#include "model/shard.hpp"

namespace sluice {

std::string possible_ranks(int slices) {
    std::vector<int> counts;
    for (int ranks = 1; ranks <= slices; ++ranks) {
        if (slices % ranks == 0) counts.push_back(ranks);
    }
    std::string text = std::to_string(counts.front());
    for (std::size_t i = 1; i < counts.size(); ++i) {
        text += (i + 1 == counts.size() ? " or " : ", ") + std::to_string(counts[i]);
    }
    return text;
}

}  // namespace sluice
