#include "engine/roofline.hpp"

#include "kernels/args.hpp"
#include "model/catalog.hpp"
#include "model/kv_cache.hpp"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

// Of a rank's part of a matrix.
double elements(const TensorSpec& tensor, const Shard& shard) {
    if (tensor.cut.along == Along::Common) return static_cast<double>(tensor.full.elements());
    double sum = 0;
    for (int slice = shard.first(); slice < shard.first() + shard.count(); ++slice)
        sum += static_cast<double>(slice_shape(tensor, slice, shard.slices).elements());
    return sum;
}

// For a token's queries and one key, of all this rank's heads: a score, and a share of the value. MLA does
// both on latents.
double pair_flops(const MlaSpec& mla, const Shard& shard) {
    return 2.0 * static_cast<double>(shard.range(mla.heads).size()) * (mla.latent_dim() + mla.kv_rank);
}

double pair_flops(const GqaSpec& gqa, const Shard& shard) {
    return 2.0 * static_cast<double>(shard.range(gqa.kv_heads).size()) * gqa.group() * 2 * gqa.head_dim;
}

double chosen_share(const LayerSpec& layer) {
    const auto* moe = std::get_if<MoeSpec>(&layer.feed_forward);
    return moe == nullptr ? 0 : static_cast<double>(moe->router.top_k) / moe->router.experts;
}

// Two for each weight of the layer that a token multiplies with.
double token_flops(ModelConfig config, const LayerSpec& layer, const Shard& shard) {
    config.layers = {layer};
    double flops = 0;
    for (const TensorSpec& tensor : tensor_catalog(config)) {
        if (tensor.full.rank() != 2 || !tensor.name.starts_with("/layers/")) continue;
        const double share = tensor.cut.along == Along::Expert ? chosen_share(layer) : 1;
        flops += 2 * share * elements(tensor, shard);
    }
    return flops;
}

}  // namespace

Roofline::Roofline(const ModelConfig& config, const Shard& shard, const WeightBytes& weights, DType kv_dtype)
    : dense_bytes_(static_cast<double>(weights.all - weights.embedding - weights.head - weights.experts)),
      head_bytes_(static_cast<double>(weights.head)),
      expert_bytes_(static_cast<double>(weights.experts)),
      kv_bytes_(static_cast<double>(kv_page_bytes(config, shard, kv_dtype)) / kernels::kPageTokens),
      head_flops_(2.0 * static_cast<double>(shard.range(config.vocab).size()) * config.dim) {
    for (const LayerKind& kind : layer_kinds(config)) {
        const auto count = static_cast<double>(kind.count);
        layer_flops_ += count * token_flops(config, kind.spec, shard);
        std::visit([&](const auto& spec) { attention_flops_ += count * pair_flops(spec, shard); },
                   kind.spec.attention);
        chosen_ = std::max(chosen_, chosen_share(kind.spec));
    }
}

StepWork Roofline::rows(double count, double logits, double keys, double pairs) const {
    StepWork work;
    work.bytes = dense_bytes_ + expert_bytes_ * (1 - std::pow(1 - chosen_, count)) + keys * kv_bytes_;
    if (logits > 0) work.bytes += head_bytes_;
    work.flops = count * layer_flops_ + logits * head_flops_ + pairs * attention_flops_;
    return work;
}

StepWork Roofline::of(const Step& step) const {
    double keys = 0, pairs = 0;
    for (const StepSequence& sequence : step.sequences) {
        keys += sequence.context;
        // Row i of r sees context - r + 1 + i keys.
        pairs += sequence.rows * (sequence.context - (sequence.rows - 1) / 2.0);
    }
    return rows(static_cast<double>(step.tokens.size()), static_cast<double>(step.logit_rows.size()), keys,
                pairs);
}

StepWork Roofline::decode(double batch, double context) const {
    return rows(batch, batch, batch * context, batch * context);
}

StepWork Roofline::prefill(double count, double length) const {
    const double prompts = std::max(1.0, count / length);
    return rows(count, 0, prompts * length / 2, count * length / 2);
}

StepTime least_time(const StepWork& work, const DeviceRates& rates) {
    const double reading = work.bytes / rates.bandwidth;
    const double computing = work.flops / rates.flops;
    return {std::max(reading, computing), reading >= computing};
}

}  // namespace sluice
