#include "model/weights.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace sluice {
namespace {

using kernels::HostMatrix;
using kernels::PackArgs;
using kernels::WeightPart;

HostMatrix matrix_of(const TensorSlice& slice) {
    HostMatrix matrix;
    matrix.values = slice.values.data();
    matrix.dtype = slice.dtype;
    matrix.rows = slice.shape[0];
    matrix.cols = slice.shape[1];
    matrix.row_stride = matrix.cols;
    if (slice.scales.empty()) return matrix;
    matrix.scales = slice.scales.data();
    matrix.block_rows = slice.block_rows;
    matrix.block_cols = slice.block_cols;
    matrix.row_offset = slice.row_offset;
    matrix.col_offset = slice.col_offset;
    matrix.scale_row_stride = slice.scale_cols;
    return matrix;
}

class Loader {
public:
    Loader(SluiceCheckpoint& checkpoint, const Shard& shard, const Ops& ops, Products gemm)
        : checkpoint_(checkpoint), shard_(shard), ops_(ops), gemm_(gemm) {
        for (TensorSpec& tensor : tensor_catalog(checkpoint.config())) {
            std::string name = tensor.name;
            unread_.emplace(std::move(name), std::move(tensor));
        }
    }

    Weights load(const std::function<void(std::uint64_t)>& progress) {
        Weights weights;
        weights.embed = table("/embed");
        const auto& layers = checkpoint_.config().layers;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            weights.layers.push_back(layer(fmt::format("/layers/{}", i), layers[i]));
            progress(checkpoint_.bytes_read());
        }
        weights.norm = vector("/norm");
        weights.head = stacked({"/head"}, Products::Bf16);
        progress(checkpoint_.bytes_read());
        expect(unread_.empty(), "tensor {} of the catalog was not read",
               unread_.empty() ? "" : unread_.begin()->first);
        weights.bytes = bytes_;
        return weights;
    }

private:
    LayerWeights layer(const std::string& at, const LayerSpec& spec) {
        LayerWeights weights;
        weights.attention_norm = vector(at + "/attention_norm");
        weights.attention = attention(at + "/attention", spec.attention);
        weights.ffn_norm = vector(at + "/ffn_norm");
        if (const auto* moe = std::get_if<MoeSpec>(&spec.feed_forward)) {
            weights.feed_forward = mixture(at, *moe);
        } else {
            weights.feed_forward = dense(at + "/ffn");
        }
        return weights;
    }

    MlaWeights attention(const std::string& at, const MlaSpec& mla) {
        MlaWeights weights;
        if (mla.q_rank > 0) {
            weights.entry = stacked({at + "/q_a", at + "/kv_a"}, gemm_);
            weights.q_norm = vector(at + "/q_a_norm");
            weights.q_b = stacked({at + "/q_b"}, gemm_);
        } else {
            weights.entry = stacked({at + "/q", at + "/kv_a"}, gemm_);
        }
        weights.kv_norm = vector(at + "/kv_a_norm");
        absorb(at + "/kv_b", mla, weights);
        weights.out = segmented(at + "/o");
        return weights;
    }

    // kv_b maps the latent to each head's keys and values. Its key half acts on queries instead, transposed,
    // and its value half on attention's result (arXiv:2405.04434, appendix C), so that the cache holds
    // latents only.
    void absorb(const std::string& name, const MlaSpec& mla, MlaWeights& weights) {
        for (const TensorSlice& slice : read(name)) {
            const HostMatrix all = matrix_of(slice);
            const std::int64_t per_head = mla.nope_dim + mla.v_dim;
            for (std::int64_t row = 0; row < all.rows; row += per_head) {
                const WeightPart key{all.row_range(row, mla.nope_dim).transposed()};
                const WeightPart value{all.row_range(row + mla.nope_dim, mla.v_dim)};
                weights.absorb_k.push_back(pack({.parts = {&key, 1}, .dequantize = true}));
                weights.absorb_v.push_back(pack({.parts = {&value, 1}, .dequantize = true}));
            }
        }
    }

    DenseWeights dense(const std::string& at) {
        return {stacked({at + "/gate", at + "/up"}, gemm_), segmented(at + "/down")};
    }

    MoeWeights mixture(const std::string& at, const MoeSpec& moe) {
        MoeWeights weights;
        weights.router = stacked({at + "/router"}, Products::F32);
        if (moe.router_bias) weights.router_bias = vector(at + "/router_bias");
        const int experts = moe.router.experts;
        for (int slice = 0; slice <= shard_.count(); ++slice) {
            weights.first_expert.push_back(
                static_cast<std::int32_t>(part_of(experts, shard_.first() + slice, shard_.slices).begin));
        }
        for (int expert = 0; expert < experts; ++expert) {
            const std::string name = fmt::format("{}/experts/{}", at, expert);
            if (expert < weights.first_expert.front() || expert >= weights.first_expert.back()) {
                for (const char* part : {"/gate", "/up", "/down"}) unread_.erase(name + part);
                continue;
            }
            weights.gate_up.push_back(stacked({name + "/gate", name + "/up"}, gemm_));
            weights.down.push_back(segmented(name + "/down"));
        }
        if (moe.shared_hidden > 0) weights.shared = dense(at + "/shared");
        return weights;
    }

    // This rank's slices of a tensor, in order; of a common or an expert's tensor, the one.
    std::vector<TensorSlice> read(const std::string& name) {
        const auto found = unread_.find(name);
        expect(found != unread_.end(), "tensor {} is not in the catalog, or read twice", name);
        const TensorSpec tensor = std::move(found->second);
        unread_.erase(found);
        std::vector<TensorSlice> slices;
        for (int slice = shard_.first(); slice < shard_.first() + shard_.count(); ++slice) {
            if (slice_range(tensor, slice, shard_.slices).size() == 0) continue;
            slices.push_back(checkpoint_.read(tensor, slice));
            if (tensor.cut.along == Along::Common) break;
        }
        return slices;
    }

    Packed pack(PackArgs args) {
        args.power_of_two_scales = checkpoint_.config().quantization.power_of_two_scales;
        Packed packed = ops_.pack(args);
        bytes_ += packed->bytes;
        return packed;
    }

    // Outputs below one another: all slices of the first tensor, then of the next.
    Packed stacked(const std::vector<std::string>& names, Products products) {
        std::vector<std::vector<TensorSlice>> tensors;
        std::vector<WeightPart> parts;
        std::int64_t row = 0;
        for (const std::string& name : names) {
            tensors.push_back(read(name));
            for (const TensorSlice& slice : tensors.back()) {
                parts.push_back({matrix_of(slice), row, 0});
                row += slice.shape[0];
            }
        }
        return pack({.parts = parts, .products = products});
    }

    // A row-parallel tensor: each slice's columns are a segment.
    Packed segmented(const std::string& name) {
        const std::vector<TensorSlice> slices = read(name);
        std::vector<WeightPart> parts;
        for (const TensorSlice& slice : slices)
            parts.push_back({matrix_of(slice), 0, static_cast<int>(parts.size())});
        return pack({.parts = parts, .products = gemm_});
    }

    Tensor vector(const std::string& name) {
        const TensorSlice slice = read(name).front();
        Tensor tensor(ops_.memory(), DType::F32, slice.shape);
        auto* out = tensor.view().as<float>();
        for (std::int64_t i = 0; i < slice.shape[0]; ++i) {
            if (slice.dtype == DType::F32) {
                std::memcpy(out + i, slice.values.data() + 4 * i, 4);
            } else {
                expect(slice.dtype == DType::BF16, "{} is {}", name, name_of(slice.dtype));
                bf16 bits = 0;
                std::memcpy(&bits, slice.values.data() + 2 * i, 2);
                out[i] = to_float(bits);
            }
        }
        bytes_ += tensor.bytes();
        return tensor;
    }

    Tensor table(const std::string& name) {
        const std::vector<TensorSlice> slices = read(name);
        std::int64_t rows = 0;
        for (const TensorSlice& slice : slices) rows += slice.shape[0];
        Tensor tensor(ops_.memory(), slices.front().dtype, {rows, slices.front().shape[1]});
        auto* out = tensor.view().as<std::byte>();
        for (const TensorSlice& slice : slices)
            out = std::copy(slice.values.begin(), slice.values.end(), out);
        bytes_ += tensor.bytes();
        return tensor;
    }

    SluiceCheckpoint& checkpoint_;
    Shard shard_;
    const Ops& ops_;
    Products gemm_;
    std::unordered_map<std::string, TensorSpec> unread_;
    std::size_t bytes_ = 0;
};

}  // namespace

Weights load_weights(SluiceCheckpoint& checkpoint, const Shard& shard, const Ops& ops, Products gemm,
                     const std::function<void(std::uint64_t)>& progress) {
    return Loader(checkpoint, shard, ops, gemm).load(progress);
}

}  // namespace sluice
