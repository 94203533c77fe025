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
        plain("/head", {vocab, dim}, along_axis(0));
        return std::move(tensors_);
    }

private:
    void plain(std::string name, Shape full, Cut cut) {
        tensors_.push_back({std::move(name), full, false, cut, -1, 0});
    }
    void matrix(std::string name, Shape full, Cut cut) {
        tensors_.push_back({std::move(name), full, true, cut, -1, 0});
    }

    void layer(const std::string& at, const LayerSpec& spec) {
        plain(at + "/attention_norm", {config_.dim}, kCommon);
        attention(at + "/attention", spec.attention);
        plain(at + "/ffn_norm", {config_.dim}, kCommon);
        if (const auto* dense = std::get_if<DenseSpec>(&spec.feed_forward)) gated(at + "/ffn", dense->hidden);
        if (const auto* moe = std::get_if<MoeSpec>(&spec.feed_forward)) mixture(at, *moe);
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
        matrix(at + "/o", {dim, heads * mla.v_dim}, along_axis(1, mla.v_dim));
    }

    void gated(const std::string& at, std::int64_t hidden) {
        matrix(at + "/gate", {hidden, config_.dim}, along_axis(0));
        matrix(at + "/up", {hidden, config_.dim}, along_axis(0));
        matrix(at + "/down", {config_.dim, hidden}, along_axis(1));
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
