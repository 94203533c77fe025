#include "model/kv_cache.hpp"

#include "kernels/args.hpp"

#include <atomic>

namespace sluice {
namespace {

std::atomic<std::int64_t> caches_made = 0;

}  // namespace

std::int64_t kv_row_width(const LayerSpec& layer, const Shard& shard) {
    if (const auto* mla = std::get_if<MlaSpec>(&layer.attention)) return mla->latent_dim();
    const auto& gqa = std::get<GqaSpec>(layer.attention);
    return 2 * shard.range(gqa.kv_heads).size() * gqa.head_dim;
}

std::size_t kv_page_bytes(const ModelConfig& config, const Shard& shard, DType dtype) {
    std::int64_t width = 0;
    for (const LayerSpec& layer : config.layers) width += kv_row_width(layer, shard);
    return static_cast<std::size_t>(width) * kernels::kPageTokens * size_of(dtype);
}

KvCache::KvCache(Memory& memory, const ModelConfig& config, const Shard& shard, DType dtype, int pages)
    : pages_(pages), serial_(++caches_made) {
    for (const LayerSpec& layer : config.layers) {
        layers_.emplace_back(memory, dtype, Shape{pages, kernels::kPageTokens, kv_row_width(layer, shard)});
    }
}

}  // namespace sluice
