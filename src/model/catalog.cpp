#include "model/catalog.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr Cut kCommon{};

Cut along_axis(int axis, std::int64_t unit = 1) { return {Along::Axis, axis, unit}; }

class Builder {
public:
    explicit Builder(const ModelConfig& config) : config_(config) {}

    std::vector<TensorSpec> build() {
        const std::int64_t vocab = config_.vocab;
        const std::int64_t dim = config_.dim;
        plain("/embed", {vocab, dim}, along_axis(0));
        for (std::size_t i = 0; i < config_.layers.size(); ++i)
            layer(fmt::format("/layers/{}", i), config_.layers[i]);
        plain("/norm", {dim}, kCommon);
        if (!config_.tied_head) plain("/head", {vocab, dim}, along_axis(0));
        return std::move(tensors_);
    }

    std::vector<TensorSpec> build_prediction() {
        const std::int64_t vocab = config_.vocab;
        const std::int64_t dim = config_.dim;
        const auto first = static_cast<int>(config_.layers.size());
        for (int number = first; number < first + config_.mtp_layers; ++number) {
            const std::string at = fmt::format("/mtp/{}", number);
            plain(at + "/embed", {vocab, dim}, along_axis(0));
            plain(at + "/embed_norm", {dim}, kCommon);
            plain(at + "/hidden_norm", {dim}, kCommon);
            plain(at + "/join", {dim, 2 * dim}, kCommon);
            layer(at, config_.layers.back());
            plain(at + "/norm", {dim}, kCommon);
            plain(at + "/head", {vocab, dim}, along_axis(0));
        }
        return std::move(tensors_);
    }

private:
    void plain(std::string name, Shape full, Cut cut) { add({std::move(name), full, false, false, cut}); }
    void matrix(std::string name, Shape full, Cut cut) { add({std::move(name), full, true, false, cut}); }
    // Cut along its inputs.
    void row_parallel(std::string name, Shape full, std::int64_t unit = 1) {
        add({std::move(name), full, true, true, along_axis(1, unit)});
    }
    void add(TensorSpec spec) { tensors_.push_back(std::move(spec)); }

    void layer(const std::string& at, const LayerSpec& spec) {
        plain(at + "/attention_norm", {config_.dim}, kCommon);
        std::visit([&](const auto& attention) { this->attention(at + "/attention", attention); },
                   spec.attention);
        if (config_.post_norms) plain(at + "/attention_post_norm", {config_.dim}, kCommon);
        plain(at + "/ffn_norm", {config_.dim}, kCommon);
        if (const auto* dense = std::get_if<DenseSpec>(&spec.feed_forward)) gated(at + "/ffn", dense->hidden);
        if (const auto* moe = std::get_if<MoeSpec>(&spec.feed_forward)) mixture(at, *moe);
        if (config_.post_norms) plain(at + "/ffn_post_norm", {config_.dim}, kCommon);
    }

    void attention(const std::string& at, const MlaSpec& mla) {
        const std::int64_t dim = config_.dim;
        const std::int64_t heads = mla.heads;
        if (mla.q_rank > 0) {
            matrix(at + "/q_a", {mla.q_rank, dim}, kCommon);
            plain(at + "/q_a_norm", {mla.q_rank}, kCommon);
            matrix(at + "/q_b", {heads * mla.key_dim(), mla.q_rank}, along_axis(0, mla.key_dim()));
        } else {
            matrix(at + "/q", {heads * mla.key_dim(), dim}, along_axis(0, mla.key_dim()));
        }
        matrix(at + "/kv_a", {mla.latent_dim(), dim}, kCommon);
        plain(at + "/kv_a_norm", {mla.kv_rank}, kCommon);
        const std::int64_t per_head = mla.nope_dim + mla.v_dim;
        matrix(at + "/kv_b", {heads * per_head, mla.kv_rank}, along_axis(0, per_head));
        row_parallel(at + "/o", {dim, heads * mla.v_dim}, mla.v_dim);
    }

    // Query heads go with the key head that they share.
    void attention(const std::string& at, const GqaSpec& gqa) {
        const std::int64_t q = std::int64_t{gqa.heads} * gqa.head_dim;
        const std::int64_t kv = std::int64_t{gqa.kv_heads} * gqa.head_dim;
        const Cut groups = along_axis(0, std::int64_t{gqa.group()} * gqa.head_dim);
        const Cut heads = along_axis(0, gqa.head_dim);
        matrix(at + "/q", {q, config_.dim}, groups);
        matrix(at + "/k", {kv, config_.dim}, heads);
        matrix(at + "/v", {kv, config_.dim}, heads);
        if (gqa.qkv_bias) {
            plain(at + "/q_bias", {q}, groups);
            plain(at + "/k_bias", {kv}, heads);
            plain(at + "/v_bias", {kv}, heads);
        }
        row_parallel(at + "/o", {config_.dim, q}, groups.unit);
        if (gqa.out_bias) plain(at + "/o_bias", {config_.dim}, kCommon);
    }

    void gated(const std::string& at, std::int64_t hidden) {
        matrix(at + "/gate", {hidden, config_.dim}, along_axis(0));
        matrix(at + "/up", {hidden, config_.dim}, along_axis(0));
        row_parallel(at + "/down", {config_.dim, hidden});
    }

    void mixture(const std::string& at, const MoeSpec& moe) {
        plain(at + "/router", {moe.router.experts, config_.dim}, kCommon);
        if (moe.router_bias) plain(at + "/router_bias", {moe.router.experts}, kCommon);
        for (int expert = 0; expert < moe.router.experts; ++expert) {
            const auto first = static_cast<std::ptrdiff_t>(tensors_.size());
            gated(fmt::format("{}/experts/{}", at, expert), moe.hidden);
            for (auto tensor = tensors_.begin() + first; tensor != tensors_.end(); ++tensor) {
                tensor->cut = {Along::Expert, 0, 1};
                tensor->expert = expert;
                tensor->experts = moe.router.experts;
            }
        }
        if (moe.shared_hidden > 0) gated(at + "/shared", moe.shared_hidden);
    }

    const ModelConfig& config_;
    std::vector<TensorSpec> tensors_;
};

}  // namespace

std::vector<TensorSpec> tensor_catalog(const ModelConfig& config) { return Builder(config).build(); }

std::vector<TensorSpec> prediction_catalog(const ModelConfig& config) {
    return Builder(config).build_prediction();
}

Shape scale_grid(const Shape& tensor, const Block& block) {
    if (block == Block{}) return {0, 0};
    return {blocks(tensor[0], block.rows), blocks(tensor.row_elements(), block.cols)};
}

Block block_of(const TensorSpec& tensor, const Quantization& quantization) {
    if (!tensor.quantizable || !quantization.on()) return {};
    if (quantization.dtype == DType::F8E4M3) return {quantization.block_rows, quantization.block_cols};
    const std::int64_t groups = tensor.row_parallel ? quantization.groups : 1;
    return {1, static_cast<int>((tensor.full[1] + groups - 1) / groups)};
}

Range slice_range(const TensorSpec& tensor, int slice, int slices) {
    const std::int64_t length = tensor.full[tensor.cut.axis];
    switch (tensor.cut.along) {
        case Along::Common: return {0, length};
        case Along::Expert: {
            const Range experts = part_of(tensor.experts, slice, slices);
            const bool held = tensor.expert >= experts.begin && tensor.expert < experts.end;
            return {0, held ? length : 0};
        }
        case Along::Axis: {
            const Range units = part_of(length / tensor.cut.unit, slice, slices);
            return {units.begin * tensor.cut.unit, units.end * tensor.cut.unit};
        }
    }
    return {};
}

Shape slice_shape(const TensorSpec& tensor, int slice, int slices) {
    Shape shape = tensor.full;
    shape[tensor.cut.axis] = slice_range(tensor, slice, slices).size();
    return shape;
}

bool can_slice(const ModelConfig& config, int slices, std::string* why) {
    for (const TensorSpec& tensor : tensor_catalog(config)) {
        std::int64_t units = slices;
        if (tensor.cut.along == Along::Axis) units = tensor.full[tensor.cut.axis] / tensor.cut.unit;
        if (tensor.cut.along == Along::Expert) units = tensor.experts;
        if (units >= slices) continue;
        if (why != nullptr)
            *why = fmt::format("{} has only {} parts that may stand alone", tensor.name, units);
        return false;
    }
    return true;
}

int default_slices(const ModelConfig& config) {
    int slices = 8;
    while (slices > 1 && !can_slice(config, slices, nullptr)) slices /= 2;
    return slices;
}

}  // namespace sluice
