#include "model/kv_cache.hpp"

#include "kernels/args.hpp"

namespace sluice {

std::size_t kv_page_bytes(const ModelConfig& config, DType dtype) {
    std::size_t width = 0;
    for (const LayerSpec& layer : config.layers)
        width += static_cast<std::size_t>(layer.attention.latent_dim());
    return width * kernels::kPageTokens * size_of(dtype);
}

KvCache::KvCache(Memory& memory, const ModelConfig& config, DType dtype, int pages) : pages_(pages) {
    for (const LayerSpec& layer : config.layers) {
        layers_.emplace_back(memory, dtype, Shape{pages, kernels::kPageTokens, layer.attention.latent_dim()});
    }
}

}  // namespace sluice
