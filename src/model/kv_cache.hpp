// The paged key-value cache of one rank, claimed once at start.
#pragma once

#include "backend/memory.hpp"
#include "model/config.hpp"
#include "model/shard.hpp"

#include <cstdint>
#include <vector>

namespace sluice {

// Elements of a token's row in a layer's cache on this rank: keys and values of its heads, or MLA's latent,
// which is whole on every rank.
std::int64_t kv_row_width(const LayerSpec& layer, const Shard& shard);

// Bytes one page (kPageTokens tokens, all layers) takes on this rank.
std::size_t kv_page_bytes(const ModelConfig& config, const Shard& shard, DType dtype);

class KvCache {
public:
    KvCache(Memory& memory, const ModelConfig& config, const Shard& shard, DType dtype, int pages);
    // [pages, kPageTokens, row width] of one layer.
    View layer(int index) const { return layers_[static_cast<std::size_t>(index)].view(); }
    int pages() const { return pages_; }
    // No other cache of the process has or had it, as it may have an address.
    std::int64_t serial() const { return serial_; }

private:
    std::vector<Tensor> layers_;
    int pages_;
    std::int64_t serial_;
};

}  // namespace sluice
