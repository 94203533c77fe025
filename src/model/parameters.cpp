#include "model/parameters.hpp"

#include "model/catalog.hpp"

namespace sluice {

ParameterCount count_parameters(const ModelConfig& config) {
    ModelConfig part = config;
    const auto count = [&](std::vector<LayerSpec> layers) {
        part.layers = std::move(layers);
        std::uint64_t all = 0, experts = 0;
        for (const TensorSpec& tensor : tensor_catalog(part)) {
            const auto elements = static_cast<std::uint64_t>(tensor.full.elements());
            all += elements;
            if (tensor.cut.along == Along::Expert) experts += elements;
        }
        const auto* moe =
            part.layers.empty() ? nullptr : std::get_if<MoeSpec>(&part.layers.front().feed_forward);
        const std::uint64_t chosen =
            moe == nullptr ? 0
                           : experts / moe->router.experts * static_cast<std::uint64_t>(moe->router.top_k);
        return ParameterCount{all, all - experts + chosen};
    };
    const ParameterCount outside = count({});
    ParameterCount sum = outside;
    if (!config.tied_head) {
        sum.active -= static_cast<std::uint64_t>(config.vocab) * static_cast<std::uint64_t>(config.dim);
    }
    for (const LayerKind& kind : layer_kinds(config)) {
        const ParameterCount with = count({kind.spec});
        sum.total += kind.count * (with.total - outside.total);
        sum.active += kind.count * (with.active - outside.active);
    }
    return sum;
}

}  // namespace sluice
