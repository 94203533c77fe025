#include "model/op_workspace.hpp"

#include "kernels/workspace.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

using kernels::Outputs;

// Goes through the operations of a step, each with the most rows that it can have.
class OpWorkspace {
public:
    OpWorkspace(const Shard& shard, const DecoderLimits& limits, kernels::Family family)
        : shard_(shard), limits_(limits), family_(family) {}

    std::size_t most() const { return most_; }

    void product(const Packed& weight, std::int64_t rows, Outputs outputs = Outputs::Plain) {
        products({&weight, 1}, rows, outputs);
    }

    void attention(const MlaSpec& spec, const LayerWeights& layer) {
        const auto& weights = std::get<MlaWeights>(layer.attention);
        product(weights.entry, limits_.rows);
        if (weights.q_b) product(weights.q_b, limits_.rows);
        const int block = block_rows(limits_, family_);
        products(weights.absorb_k, block, Outputs::Plain);
        attend(block, static_cast<std::int64_t>(weights.absorb_k.size()), 1, spec.kv_rank);
        products(weights.absorb_v, block, Outputs::Plain);
        product(weights.out, limits_.rows, Outputs::SummedSegments);
    }
    void attention(const GqaSpec& spec, const LayerWeights& layer) {
        const auto& weights = std::get<GqaWeights>(layer.attention);
        const std::int64_t kv_heads = shard_.range(spec.kv_heads).size();
        product(weights.entry, limits_.rows);
        attend(limits_.rows, kv_heads * spec.group(), kv_heads, spec.head_dim);
        product(weights.out, limits_.rows, Outputs::SummedSegments);
    }

    void feed_forward(const DenseSpec&, const LayerWeights& layer) {
        const auto& weights = std::get<DenseWeights>(layer.feed_forward);
        product(weights.gate_up, limits_.rows, Outputs::Gated);
        product(weights.down, limits_.rows, Outputs::SummedSegments);
    }
    void feed_forward(const MoeSpec& spec, const LayerWeights& layer) {
        const auto& weights = std::get<MoeWeights>(layer.feed_forward);
        product(weights.router, limits_.rows);
        const std::int64_t rows = std::int64_t{limits_.rows} * spec.router.top_k;
        experts(weights.gate_up, rows, Outputs::Gated);
        experts(weights.down, rows, Outputs::Plain);
        if (!weights.shared) return;
        product(weights.shared->gate_up, limits_.rows, Outputs::Gated);
        product(weights.shared->down, block_rows(limits_, family_));
    }

    // Of the tokens that are chosen or scored.
    void vocabulary(int size) {
        const std::vector<kernels::VocabRow> rows(static_cast<std::size_t>(limits_.logit_rows));
        std::vector<std::int32_t> first_id;
        kernels::VocabArgs args;
        for (int slice = 0; slice <= shard_.count(); ++slice) {
            const Range ids = part_of(size, shard_.first() + slice, shard_.slices);
            first_id.push_back(static_cast<std::int32_t>(ids.begin));
            if (slice < shard_.count()) args.widest_slice = std::max(args.widest_slice, ids.size());
        }
        args.rows = rows;
        args.first_id = first_id;
        take(args);
    }

private:
    template <class Args>
    void take(const Args& args) {
        most_ = std::max(most_, kernels::most_workspace(family_, args));
    }

    void products(std::span<const Packed> weights, std::int64_t rows, Outputs outputs) {
        std::vector<kernels::ProductJob> jobs;
        for (const Packed& weight : weights) {
            jobs.emplace_back();
            jobs.back().weight = weight.get();
            jobs.back().rows = rows;
        }
        take(kernels::ProductArgs{jobs, outputs});
    }

    void experts(std::span<const Packed> weights, std::int64_t rows, Outputs outputs) {
        const std::vector<std::int32_t> offsets(weights.size() +
                                                1);  // that there are some is all that counts
        kernels::ExpertProductArgs args;
        args.experts = weights;
        args.offsets = offsets.data();
        args.most_rows = rows;
        args.outputs = outputs;
        take(args);
    }

    void attend(std::int64_t rows, std::int64_t heads, std::int64_t kv_heads, std::int64_t value_dim) {
        kernels::AttentionArgs args;
        args.rows = rows;
        args.most_context = limits_.positions;
        args.heads = heads;
        args.kv_heads = kv_heads;
        args.value_dim = value_dim;
        take(args);
    }

    const Shard& shard_;
    const DecoderLimits& limits_;
    kernels::Family family_;
    std::size_t most_ = 0;
};

}  // namespace

std::size_t op_workspace_bytes(const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
                               kernels::Family family) {
    ModelConfig one_of_each = config;
    one_of_each.layers.clear();
    for (const LayerKind& kind : layer_kinds(config)) one_of_each.layers.push_back(kind.spec);
    const Weights weights = weight_sizes(one_of_each, shard, DType::BF16, family);
    OpWorkspace workspace(shard, limits, family);
    for (std::size_t i = 0; i < weights.layers.size(); ++i) {
        const LayerSpec& spec = one_of_each.layers[i];
        std::visit([&](const auto& kind) { workspace.attention(kind, weights.layers[i]); }, spec.attention);
        std::visit([&](const auto& kind) { workspace.feed_forward(kind, weights.layers[i]); },
                   spec.feed_forward);
    }
    workspace.product(weights.head, limits.logit_rows);
    workspace.vocabulary(config.vocab);
    return workspace.most();
}

}  // namespace sluice
