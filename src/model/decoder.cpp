#include "model/decoder.hpp"

#include "core/error.hpp"
#include "kernels/workspace.hpp"
#include "model/op_workspace.hpp"
#include "model/rope.hpp"
#include "model/step_ladder.hpp"

#include <algorithm>

namespace sluice {
namespace {

// Counts instead of allocating: the workspace tells its size by being built in it.
class MeasuringMemory : public Memory {
public:
    Place place() const override { return Place::Host; }
    void* allocate(std::size_t bytes) override {
        total_ += bytes;
        return nullptr;
    }
    void release(void*, std::size_t) noexcept override {}
    std::size_t total() const { return total_; }

private:
    std::size_t total_ = 0;
};

// The widest a rank's part gets over all layers.
struct Widths {
    std::int64_t entry = 0, q = 0, q_latent = 0, attended = 0, values = 0;
    std::int64_t hidden = 0;  // of a dense layer or the shared experts
    std::int64_t experts = 0, local_experts = 0, top_k = 0, expert_hidden = 0;
    bool shared = false;  // experts: their slices are added to routed ones
};

void widen(std::int64_t& width, std::int64_t to) { width = std::max(width, to); }

void widen(Widths& widest, const MlaSpec& mla, const Shard& shard) {
    const std::int64_t heads = shard.range(mla.heads).size();
    const std::int64_t q = heads * mla.key_dim();
    widen(widest.entry, (mla.q_rank > 0 ? mla.q_rank : q) + mla.latent_dim());
    widen(widest.q, mla.q_rank > 0 ? q : 0);
    widen(widest.q_latent, heads * mla.latent_dim());
    widen(widest.attended, heads * mla.kv_rank);
    widen(widest.values, heads * mla.v_dim);
}

void widen(Widths& widest, const GqaSpec& gqa, const Shard& shard) {
    const std::int64_t kv = shard.range(gqa.kv_heads).size() * gqa.head_dim;
    const std::int64_t q = kv * gqa.group();
    widen(widest.entry, q + 2 * kv);
    widen(widest.q, q);
    widen(widest.values, q);
}

Widths widths_of(const ModelConfig& config, const Shard& shard) {
    Widths widest;
    for (const LayerSpec& layer : config.layers) {
        std::visit([&](const auto& attention) { widen(widest, attention, shard); }, layer.attention);
        if (const auto* dense = std::get_if<DenseSpec>(&layer.feed_forward)) {
            widen(widest.hidden, shard.range(dense->hidden).size());
        }
        if (const auto* moe = std::get_if<MoeSpec>(&layer.feed_forward)) {
            widen(widest.hidden, shard.range(moe->shared_hidden).size());
            widest.shared = widest.shared || moe->shared_hidden > 0;
            widen(widest.experts, moe->router.experts);
            widen(widest.local_experts, shard.range(moe->router.experts).size());
            widen(widest.top_k, moe->router.top_k);
            widen(widest.expert_hidden, moe->hidden);
        }
    }
    return widest;
}

// A norm that only some models have.
std::optional<ConstView> gain_of(const Tensor& norm) {
    if (norm.view().data == nullptr) return std::nullopt;
    return norm.view();
}

// A dense [rows, cols] view of a buffer's beginning.
View take(const Tensor& buffer, std::int64_t rows, std::int64_t cols) {
    const View all = buffer.view();
    expect(rows * cols <= all.shape.elements(), "workspace of {} for [{}, {}]", all.shape.text(), rows, cols);
    return dense_view(all.data, all.dtype, {rows, cols}, all.place);
}

}  // namespace

// Every buffer of a step, claimed once.
struct Decoder::Workspace {
    Workspace(Memory& memory, const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
              int block)
        : Workspace(memory, config, shard, limits, block, widths_of(config, shard)) {}

    Workspace(Memory& m, const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
              int block, const Widths& w)
        : x(m, DType::F32, {limits.rows, config.dim}),
          h(m, DType::F32, {limits.rows, config.dim}),
          delta(m, DType::F32, {limits.rows, config.dim}),
          partials(m, DType::F32, {w.shared ? block * shard.count() : 0, config.dim}),
          entry(m, DType::F32, {limits.rows, w.entry}),
          q(m, DType::F32, {limits.rows, w.q}),
          q_latent(m, DType::F32, {block, w.q_latent}),
          attended(m, DType::F32, {block, w.attended}),
          values(m, DType::F32, {limits.rows, w.values}),
          hidden(m, DType::F32, {limits.rows, w.hidden}),
          scores(m, DType::F32, {limits.rows, w.experts}),
          expert(m, DType::I32, {limits.rows, w.top_k}),
          weight(m, DType::F32, {limits.rows, w.top_k}),
          place(m, DType::I32, {limits.rows, w.top_k}),
          token(m, DType::I32, {limits.rows * w.top_k}),
          offsets(m, DType::I32, {w.local_experts + 1}),
          expert_hidden(m, DType::F32, {limits.rows * w.top_k, w.expert_hidden}),
          expert_out(m, DType::F32, {limits.rows * w.top_k, config.dim}),
          logits(m, DType::F32, {limits.logit_rows, shard.range(config.vocab).size()}),
          rotations(m, DType::F32, {limits.positions, config.rope.dim}) {}

    Tensor x, h, delta, partials;
    Tensor entry, q, q_latent, attended, values;
    Tensor hidden;
    Tensor scores, expert, weight, place, token, offsets;
    Tensor expert_hidden, expert_out;
    Tensor logits;
    Tensor rotations;
};

// One step's rows on their way through the layers.
struct Decoder::Rows {
    std::int64_t count = 0;
    View x, h, delta;  // residual stream, normed input of a block, the block's result
};

int block_rows(const DecoderLimits& limits, kernels::Family family) {
    constexpr int kOnHost = 128;  // fewer save no more time
    return kernels::works_on_host(family) ? std::min(kOnHost, limits.rows) : limits.rows;
}

std::size_t workspace_bytes(const ModelConfig& config, const Shard& shard, const DecoderLimits& limits,
                            kernels::Family family) {
    MeasuringMemory memory;
    const Decoder::Workspace measured(memory, config, shard, limits, block_rows(limits, family));
    return memory.total() + op_workspace_bytes(config, shard, limits, family);
}

Decoder::Decoder(const ModelConfig& config, const Shard& shard, Weights weights, const DecoderLimits& limits,
                 const Ops& ops, DeviceSums& sums)
    : config_(config),
      shard_(shard),
      weights_(std::move(weights)),
      ops_(ops),
      sums_(sums),
      inputs_(ops, block_rows(limits, ops.family())),
      recurring_(ops, std::min(limits.rows, limits.logit_rows), limits.positions),
      space_(std::make_unique<Workspace>(ops.memory(), config, shard, limits,
                                         block_rows(limits, ops.family()))) {
    for (int slice = 0; slice <= shard.count(); ++slice) {
        const Range range = part_of(config.vocab, shard.first() + slice, shard.slices);
        vocabulary_slices_.push_back(static_cast<std::int32_t>(range.begin));
    }
    // Not when a step needs it: it would move, on each rank at another step.
    if (!kernels::works_on_host(ops.family()))
        ops.claim_workspace(op_workspace_bytes(config, shard, limits, ops.family()));
    workspace_ = ops.workspace();
    const std::vector<float> table = rope_table(config.rope, limits.positions);
    ops.upload(table.data(), space_->rotations.view().data, table.size() * sizeof(float));
    ops.synchronize();
}

Decoder::~Decoder() = default;

View Decoder::run(const Step& step, KvCache& cache, StepObserver* observer) {
    const bool recurs = ops_.can_record() && sums_.can_be_recorded() && observer == nullptr &&
                        !step.by_operation && only_decodes(step);
    // Else the others would record what this rank does not.
    expect(ops_.can_record() || step.by_operation || sums_.ranks() == 1 || !sums_.can_be_recorded(),
           "a clock is told of this rank's operations alone");
    if (recurs) {
        // Recordings would be dropped on this rank alone.
        expect(ops_.workspace() == workspace_ || sums_.ranks() == 1, "scratch memory was claimed anew");
        sums_.expect_replay();
        recurring_.run(step, inputs_, cache, [&] { compute(cache, nullptr); });
    } else {
        inputs_.take(step);
        compute(cache, observer);
    }
    return take(space_->logits, static_cast<std::int64_t>(step.logit_rows.size()), weights_.head->rows);
}

void Decoder::compute(KvCache& cache, StepObserver* observer) {
    const std::int64_t count = inputs_.tokens.shape[0];
    Rows rows{count, take(space_->x, count, config_.dim), take(space_->h, count, config_.dim),
              take(space_->delta, count, config_.dim)};
    embed(rows);
    ops_.rms_norm(rows.x, weights_.layers.front().attention_norm.view(), config_.norm_eps, rows.h);
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
        const LayerSpec& spec = config_.layers[i];
        const LayerWeights& layer = weights_.layers[i];
        const bool last = i + 1 == weights_.layers.size();
        const int index = static_cast<int>(i);
        if (observer != nullptr) observer->hidden(index, rows.x);
        if (const auto* mla = std::get_if<MlaSpec>(&spec.attention)) {
            attend(*mla, std::get<MlaWeights>(layer.attention), rows, cache.layer(index));
        } else {
            attend(std::get<GqaSpec>(spec.attention), std::get<GqaWeights>(layer.attention), rows,
                   cache.layer(index));
        }
        ops_.seam(rows.x, rows.delta, gain_of(layer.attention_post_norm), layer.ffn_norm.view(),
                  config_.norm_eps, rows.h);
        if (const auto* moe = std::get_if<MoeWeights>(&layer.feed_forward)) {
            feed(std::get<MoeSpec>(spec.feed_forward), *moe, rows, index, observer);
        } else {
            feed(std::get<DenseWeights>(layer.feed_forward), rows);
        }
        const Tensor& next = last ? weights_.norm : weights_.layers[i + 1].attention_norm;
        ops_.seam(rows.x, rows.delta, gain_of(layer.ffn_post_norm), next.view(), config_.norm_eps, rows.h);
    }
    if (observer != nullptr) observer->hidden(static_cast<int>(weights_.layers.size()), rows.x);
    project_logits(rows);
}

void Decoder::embed(Rows& rows) {
    ops_.embed(inputs_.tokens, weights_.embed.view(), vocabulary_slices_.front(), config_.embedding_scale,
               rows.x);
    sum_over_ranks(rows.x);
}

void Decoder::attend(const MlaSpec& spec, const MlaWeights& weights, Rows& rows, View cache) {
    const auto heads = static_cast<std::int64_t>(weights.absorb_k.size());
    const std::int64_t n = rows.count;
    const std::int64_t q_width = heads * spec.key_dim();
    const View entry = take(space_->entry, n, weights.entry->rows);
    ops_.product(rows.h, *weights.entry, entry);

    View q = entry.columns(0, weights.q_b ? spec.q_rank : q_width);
    if (weights.q_b) {
        ops_.rms_norm(q, weights.q_norm.view(), config_.norm_eps, q);
        const View expanded = take(space_->q, n, q_width);
        ops_.product(q, *weights.q_b, expanded);
        q = expanded;
    }

    // The token's row in the cache: the normed latent, then the rotated key that all heads share.
    const View token = entry.columns(entry.shape[1] - spec.latent_dim(), spec.latent_dim());
    const View latent = token.columns(0, spec.kv_rank);
    ops_.rms_norm(latent, weights.kv_norm.view(), config_.norm_eps, latent);
    ops_.store_rows(token, inputs_.slots,
                    {1, spec.kv_rank, spec.rope_dim, config_.rope.interleaved, inputs_.positions,
                     space_->rotations.view()},
                    cache);

    const View values = take(space_->values, n, heads * spec.v_dim);
    for (const RowBlock& block : inputs_.blocks) {
        attend_latent(spec, weights, q.rows(block.first, block.count), block, cache,
                      values.rows(block.first, block.count));
    }
    project_out(*weights.out, values, rows);
}

void Decoder::attend_latent(const MlaSpec& spec, const MlaWeights& weights, View q, const RowBlock& block,
                            View cache, View values) {
    const auto heads = static_cast<std::int64_t>(weights.absorb_k.size());
    const std::int64_t width = spec.latent_dim();
    // Queries in the latent's coordinates: [kv_rank | rotated part] a head.
    const View q_latent = take(space_->q_latent, block.count, heads * width);
    ops_.head_product(q, spec.key_dim(), weights.absorb_k, width, q_latent);
    ops_.rope(q.columns(spec.nope_dim, q.shape[1] - spec.nope_dim), {heads, spec.key_dim(), width},
              spec.rope_dim, config_.rope.interleaved, block.positions, space_->rotations.view(),
              q_latent.columns(spec.kv_rank, heads * width - spec.kv_rank));

    const View attended = take(space_->attended, block.count, heads * spec.kv_rank);
    ops_.attention(q_latent, block.attention, {cache, 0},
                   {heads, 1, width, spec.kv_rank, config_.attention_scale, config_.attention_softcap},
                   attended);
    ops_.head_product(attended, spec.kv_rank, weights.absorb_v, spec.v_dim, values);
}

void Decoder::attend(const GqaSpec& spec, const GqaWeights& weights, Rows& rows, View cache) {
    const std::int64_t n = rows.count;
    const std::int64_t dim = spec.head_dim;
    const std::int64_t kv_heads = shard_.range(spec.kv_heads).size();
    const std::int64_t heads = kv_heads * spec.group();
    const View entry = take(space_->entry, n, weights.entry->rows);
    ops_.product(rows.h, *weights.entry, entry);
    if (spec.qkv_bias) ops_.add_bias(weights.entry_bias.view(), entry);

    const bool interleaved = config_.rope.interleaved;
    const View rotations = space_->rotations.view();
    const View q = take(space_->q, n, heads * dim);
    ops_.rope(entry.columns(0, heads * dim), {heads, dim, dim}, dim, interleaved, inputs_.positions,
              rotations, q);
    // The token's row in the cache: rotated keys, then values.
    ops_.store_rows(entry.columns(heads * dim, 2 * kv_heads * dim), inputs_.slots,
                    {kv_heads, 0, dim, interleaved, inputs_.positions, rotations}, cache);

    const View values = take(space_->values, n, heads * dim);
    ops_.attention(q, inputs_.attention, {cache, kv_heads * dim},
                   {heads, kv_heads, dim, dim, config_.attention_scale, config_.attention_softcap}, values);
    project_out(*weights.out, values, rows);
    if (spec.out_bias) ops_.add_bias(weights.out_bias.view(), rows.delta);
}

void Decoder::project_out(const PackedWeight& out, View values, Rows& rows) {
    ops_.summed_product(values, out, rows.delta);
    sum_over_ranks(rows.delta);
}

View Decoder::gated(const DenseWeights& weights, const Rows& rows) {
    const View hidden = take(space_->hidden, rows.count, weights.gate_up->rows / 2);
    ops_.gated_product(rows.h, *weights.gate_up, config_.activation, hidden);
    return hidden;
}

void Decoder::feed(const DenseWeights& weights, Rows& rows) {
    ops_.summed_product(gated(weights, rows), *weights.down, rows.delta);
    sum_over_ranks(rows.delta);
}

void Decoder::feed(const MoeSpec& spec, const MoeWeights& weights, Rows& rows, int layer,
                   StepObserver* observer) {
    const std::int64_t n = rows.count;
    const std::int64_t top_k = spec.router.top_k;
    const auto local = static_cast<std::int32_t>(weights.gate_up.size());

    const View scores = take(space_->scores, n, spec.router.experts);
    const Routing routing{take(space_->expert, n, top_k), take(space_->weight, n, top_k)};
    ops_.product(rows.h, *weights.router, scores);
    std::optional<ConstView> bias;
    if (weights.router_bias) bias = weights.router_bias->view();
    ops_.route(scores, bias, spec.router, routing);
    if (observer != nullptr) observer->routing(layer, routing.expert, routing.weight);

    const View all_offsets = space_->offsets.view();
    const View offsets = dense_view(all_offsets.data, DType::I32, {local + 1}, all_offsets.place);
    const Grouping grouping{space_->token.view(), offsets, take(space_->place, n, top_k)};
    ops_.group(routing, weights.first_expert.front(), local, grouping);

    const View hidden = take(space_->expert_hidden, n * top_k, spec.hidden);
    const View out = take(space_->expert_out, n * top_k, config_.dim);
    ops_.expert_product(rows.h, grouping.token, grouping.offsets, weights.gate_up, config_.activation,
                        spec.router.experts, hidden);
    ops_.expert_product(hidden, std::nullopt, grouping.offsets, weights.down, std::nullopt,
                        spec.router.experts, out);

    const View shared_hidden = weights.shared ? gated(*weights.shared, rows) : View{};
    for (const RowBlock& block : inputs_.blocks) {
        const auto part = [&](const View& all) { return all.rows(block.first, block.count); };
        std::optional<ConstView> shared;
        if (weights.shared) {
            const View partials = take(space_->partials, block.count * shard_.count(), config_.dim);
            ops_.product(part(shared_hidden), *weights.shared->down, partials);
            shared = partials;
        }
        ops_.combine(shared, out, {part(routing.expert), part(routing.weight)},
                     {grouping.token, grouping.offsets, part(grouping.place)}, weights.first_expert,
                     part(rows.delta));
    }
    sum_over_ranks(rows.delta);
}

void Decoder::sum_over_ranks(View delta) {
    sums_.all_reduce_sum(delta.as<float>(), static_cast<std::size_t>(delta.shape.elements()));
}

void Decoder::project_logits(const Rows& rows) {
    const std::int64_t wanted = inputs_.logit_rows.shape[0];
    if (wanted == 0) return;
    ops_.product(rows.h, *weights_.head, take(space_->logits, wanted, weights_.head->rows),
                 inputs_.logit_rows);
}

}  // namespace sluice
