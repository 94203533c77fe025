// The paged key-value cache of one rank, claimed once at start.
#pragma once

#include "backend/memory.hpp"
#include "model/config.hpp"

#include <vector>

namespace sluice {

// Bytes one page (kPageTokens tokens, all layers) takes on each rank. MLA's latent rows are whole on every
// rank.
std::size_t kv_page_bytes(const ModelConfig& config, DType dtype);

class KvCache {
public:
    KvCache(Memory& memory, const ModelConfig& config, DType dtype, int pages);
    // [pages, kPageTokens, row width] of one layer.
    View layer(int index) const { return layers_[static_cast<std::size_t>(index)].view(); }
    int pages() const { return pages_; }

private:
    std::vector<Tensor> layers_;
    int pages_;
};

}  // namespace sluice
