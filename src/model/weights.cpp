#include "model/weights.hpp"

#include "checkpoint/layout.hpp"
#include "checkpoint/read_ahead.hpp"
#include "core/error.hpp"
#include "kernels/workspace.hpp"
#include "model/embedding_table.hpp"

#include <algorithm>
#include <unordered_map>

namespace sluice {
namespace {

using kernels::HostMatrix;
using kernels::PackArgs;
using kernels::WeightPart;

// More do not help: two keep up with packing.
constexpr int kMostReaders = 4;

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

using ReadSlice = std::function<TensorSlice(const TensorSpec&, int slice)>;

// A part as the Loader takes it where it only counts.
TensorSlice without_values(const PartForm& form) {
    static constexpr float kScale = 0;
    TensorSlice slice{form, nullptr, {}, {}};
    if (form.scale_rows > 0) slice.scales = {&kScale, 1};  // that there are some is all that counts
    return slice;
}

PartForm form_of(const TensorSpec& tensor, int slice, int slices, const Quantization& quantization,
                 DType router) {
    const Block block = block_of(tensor, quantization);
    const SlicePart part =
        slice_part(tensor, tensor.cut.along == Along::Common ? kCommonIndex : slice, slices, block);
    PartForm form;
    form.dtype = block != Block{} ? quantization.dtype : tensor.quantizable ? DType::BF16 : router;
    form.shape = part.shape;
    form.scale_rows = part.scale_rows.size();
    form.scale_cols = part.scale_cols.size();
    form.block_rows = block.rows;
    form.block_cols = block.cols;
    form.row_offset = part.row_offset;
    form.col_offset = part.col_offset;
    return form;
}

// Reads and packs; or counts: takes slices without values, and makes weights that know their sizes only.
class Loader {
public:
    // Without `ops`, it counts.
    Loader(const ModelConfig& config, ReadSlice read, const Shard& shard, kernels::Family family,
           const Ops* ops, Products gemm)
        : config_(config),
          read_slice_(std::move(read)),
          shard_(shard),
          family_(family),
          ops_(ops),
          gemm_(gemm) {
        for (TensorSpec& tensor : tensor_catalog(config)) {
            std::string name = tensor.name;
            unread_.emplace(std::move(name), std::move(tensor));
        }
    }

    Weights load() {
        Weights weights;
        {
            const Slices embed = read("/embed");
            weights.embed = table(embed);
            bytes_.embedding = bytes_.all;
            if (config_.tied_head) {
                weights.head = stacked({&embed, 1}, Products::Bf16);
                bytes_.head = bytes_.all - bytes_.embedding;
            }
        }
        for (std::size_t i = 0; i < config_.layers.size(); ++i) {
            weights.layers.push_back(layer(fmt::format("/layers/{}", i), config_.layers[i]));
        }
        weights.norm = vector({"/norm"}, config_.logit_scale);
        if (!config_.tied_head) {
            const std::uint64_t before = bytes_.all;
            weights.head = stacked({"/head"}, Products::Bf16);
            bytes_.head = bytes_.all - before;
        }
        expect(unread_.empty(), "tensor {} of the catalog was not read",
               unread_.empty() ? "" : unread_.begin()->first);
        weights.bytes = bytes_;
        return weights;
    }

private:
    using Slices = std::vector<TensorSlice>;

    LayerWeights layer(const std::string& at, const LayerSpec& spec) {
        const bool post_norms = config_.post_norms;
        LayerWeights weights;
        weights.attention_norm = vector({at + "/attention_norm"});
        std::visit([&](const auto& attention) { weights.attention = load(at + "/attention", attention); },
                   spec.attention);
        if (post_norms) weights.attention_post_norm = vector({at + "/attention_post_norm"});
        weights.ffn_norm = vector({at + "/ffn_norm"});
        if (const auto* moe = std::get_if<MoeSpec>(&spec.feed_forward)) {
            weights.feed_forward = mixture(at, *moe);
        } else {
            weights.feed_forward = dense(at + "/ffn");
        }
        if (post_norms) weights.ffn_post_norm = vector({at + "/ffn_post_norm"});
        return weights;
    }

    MlaWeights load(const std::string& at, const MlaSpec& mla) {
        MlaWeights weights;
        if (mla.q_rank > 0) {
            weights.entry = stacked({at + "/q_a", at + "/kv_a"}, gemm_);
            weights.q_norm = vector({at + "/q_a_norm"});
            weights.q_b = stacked({at + "/q_b"}, gemm_);
        } else {
            weights.entry = stacked({at + "/q", at + "/kv_a"}, gemm_);
        }
        weights.kv_norm = vector({at + "/kv_a_norm"});
        absorb(at + "/kv_b", mla, weights);
        weights.out = segmented(at + "/o");
        return weights;
    }

    // kv_b maps the latent to each head's keys and values. Its key half acts on queries instead, transposed,
    // and its value half on attention's result (arXiv:2405.04434, appendix C), so that the cache holds
    // latents only. Codes stay codes where a scale holds for so many outputs: transposed, these lie along k.
    void absorb(const std::string& name, const MlaSpec& mla, MlaWeights& weights) {
        constexpr std::int64_t kLeastBlock = 32;
        for (const TensorSlice& slice : read(name)) {
            const HostMatrix all = matrix_of(slice);
            const bool dequantize = all.block_rows < kLeastBlock;
            const std::int64_t per_head = mla.nope_dim + mla.v_dim;
            for (std::int64_t row = 0; row < all.rows; row += per_head) {
                const WeightPart key{all.row_range(row, mla.nope_dim).transposed()};
                const WeightPart value{all.row_range(row + mla.nope_dim, mla.v_dim)};
                weights.absorb_k.push_back(pack({.parts = {&key, 1}, .dequantize = dequantize}));
                weights.absorb_v.push_back(pack({.parts = {&value, 1}, .dequantize = dequantize}));
            }
        }
    }

    GqaWeights load(const std::string& at, const GqaSpec& gqa) {
        GqaWeights weights;
        weights.entry = stacked({at + "/q", at + "/k", at + "/v"}, gemm_);
        if (gqa.qkv_bias) weights.entry_bias = vector({at + "/q_bias", at + "/k_bias", at + "/v_bias"});
        weights.out = segmented(at + "/o");
        if (gqa.out_bias) weights.out_bias = vector({at + "/o_bias"});
        return weights;
    }

    DenseWeights dense(const std::string& at) {
        return {stacked({at + "/gate", at + "/up"}, gemm_), segmented(at + "/down")};
    }

    MoeWeights mixture(const std::string& at, const MoeSpec& moe) {
        MoeWeights weights;
        weights.router = stacked({at + "/router"}, Products::F32);
        if (moe.router_bias) weights.router_bias = vector({at + "/router_bias"});
        const int experts = moe.router.experts;
        for (int slice = 0; slice <= shard_.count(); ++slice) {
            weights.first_expert.push_back(
                static_cast<std::int32_t>(part_of(experts, shard_.first() + slice, shard_.slices).begin));
        }
        const std::uint64_t before = bytes_.all;
        for (int expert = 0; expert < experts; ++expert) {
            const std::string name = fmt::format("{}/experts/{}", at, expert);
            if (expert < weights.first_expert.front() || expert >= weights.first_expert.back()) {
                for (const char* part : {"/gate", "/up", "/down"}) unread_.erase(name + part);
                continue;
            }
            weights.gate_up.push_back(stacked({name + "/gate", name + "/up"}, gemm_));
            weights.down.push_back(segmented(name + "/down"));
        }
        bytes_.experts += bytes_.all - before;
        if (moe.shared_hidden > 0) weights.shared = dense(at + "/shared");
        return weights;
    }

    // This rank's slices of a tensor, in order; of a common or an expert's tensor, the one.
    Slices read(const std::string& name) {
        const auto found = unread_.find(name);
        expect(found != unread_.end(), "tensor {} is not in the catalog, or read twice", name);
        const TensorSpec tensor = std::move(found->second);
        unread_.erase(found);
        Slices slices;
        for (int slice = shard_.first(); slice < shard_.first() + shard_.count(); ++slice) {
            if (slice_range(tensor, slice, shard_.slices).size() == 0) continue;
            slices.push_back(read_slice_(tensor, slice));
            if (tensor.cut.along == Along::Common) break;
        }
        note_held({&slices, 1});
        return slices;
    }

    // That these stand in memory at once, not packed yet, and as much beside them that is read ahead.
    void note_held(std::span<const Slices> tensors) {
        std::uint64_t held = 0;
        for (const Slices& tensor : tensors)
            for (const TensorSlice& slice : tensor) held += memory_bytes(slice);
        bytes_.staging = std::max(bytes_.staging, 2 * held);
    }

    Packed pack(PackArgs args) {
        args.power_of_two_scales = config_.quantization.power_of_two_scales;
        const Packed packed = ops_ == nullptr ? kernels::packed_sizes(family_, args) : ops_->pack(args);
        bytes_.all += packed->bytes;
        bytes_.packed += packed->bytes;
        return packed;
    }

    // Outputs below one another: all slices of the first tensor, then of the next.
    Packed stacked(const std::vector<std::string>& names, Products products) {
        std::vector<Slices> tensors;
        for (const std::string& name : names) tensors.push_back(read(name));
        note_held(tensors);
        return stacked(tensors, products);
    }

    Packed stacked(std::span<const Slices> tensors, Products products) {
        std::vector<WeightPart> parts;
        std::int64_t row = 0;
        for (const Slices& tensor : tensors) {
            for (const TensorSlice& slice : tensor) {
                parts.push_back({matrix_of(slice), row, 0});
                row += slice.shape[0];
            }
        }
        return pack({.parts = parts, .products = products});
    }

    // A row-parallel tensor: each slice's columns are a segment.
    Packed segmented(const std::string& name) {
        const Slices slices = read(name);
        std::vector<WeightPart> parts;
        for (const TensorSlice& slice : slices)
            parts.push_back({matrix_of(slice), 0, static_cast<int>(parts.size())});
        return pack({.parts = parts, .products = gemm_});
    }

    // An empty one where only bytes are counted.
    Tensor filled(DType dtype, const Shape& shape, const std::function<void(View)>& fill) {
        bytes_.all += static_cast<std::uint64_t>(shape.elements()) * size_of(dtype);
        return ops_ == nullptr ? Tensor() : ops_->filled(dtype, shape, fill);
    }

    // All slices of the first tensor, then of the next, as float32, times `scale`.
    Tensor vector(const std::vector<std::string>& names, float scale = 1) {
        Slices slices;
        std::int64_t length = 0;
        for (const std::string& name : names) {
            for (TensorSlice& slice : read(name)) {
                length += slice.shape[0];
                slices.push_back(std::move(slice));
            }
        }
        note_held({&slices, 1});
        return filled(DType::F32, {length}, [&](View tensor) {
            auto* out = tensor.as<float>();
            for (const TensorSlice& slice : slices) {
                const HostMatrix row{slice.values.data(), slice.dtype, 1, slice.shape[0]};
                for (std::int64_t i = 0; i < slice.shape[0]; ++i) *out++ = row.at(0, i) * scale;
            }
        });
    }

    Tensor table(const Slices& slices) {
        for (const TensorSlice& slice : slices)
            bytes_.all += static_cast<std::uint64_t>(slice.shape.elements()) * sizeof(bf16);
        return ops_ == nullptr ? Tensor() : embedding_table(slices, *ops_);
    }

    const ModelConfig& config_;
    ReadSlice read_slice_;
    Shard shard_;
    kernels::Family family_;
    const Ops* ops_;
    Products gemm_;
    std::unordered_map<std::string, TensorSpec> unread_;
    WeightBytes bytes_;
};

}  // namespace

Weights load_weights(SluiceCheckpoint& checkpoint, const Shard& shard, const Ops& ops, Products gemm,
                     const std::function<void(const LoadProgress&)>& progress) {
    LoadProgress done;
    std::vector<ReadAhead::Read> reads;
    const auto find = [&](const TensorSpec& tensor, int slice) {
        const StoredPart part = checkpoint.find(tensor, slice);
        done.total += part.bytes();
        reads.push_back({tensor, part});
        return without_values(part);
    };
    const WeightBytes needed =
        Loader(checkpoint.config(), find, shard, ops.family(), nullptr, gemm).load().bytes;
    const std::shared_ptr<void> claimed = ops.claim_for_weights(needed.packed);
    ReadAhead ahead(checkpoint, std::move(reads), std::min(ops.threads(), kMostReaders), needed.staging);
    const auto next = [&](const TensorSpec& tensor, int /*slice*/) {
        TensorSlice slice = ahead.next(tensor.name);
        done.bytes = ahead.bytes_taken();
        done.seconds_waited = ahead.seconds_waited();
        progress(done);
        return slice;
    };
    return Loader(checkpoint.config(), next, shard, ops.family(), &ops, gemm).load();
}

Weights weight_sizes(const ModelConfig& config, const Shard& shard, DType router, kernels::Family family) {
    const auto read = [&](const TensorSpec& tensor, int slice) {
        return without_values(form_of(tensor, slice, shard.slices, config.quantization, router));
    };
    return Loader(config, read, shard, family, nullptr, Products::Bf16).load();
}

WeightBytes weight_bytes(const ModelConfig& config, const Shard& shard, DType router,
                         kernels::Family family) {
    ModelConfig part = config;
    const auto count = [&](std::vector<LayerSpec> layers) {
        part.layers = std::move(layers);
        return weight_sizes(part, shard, router, family).bytes;
    };
    const WeightBytes outside = count({});
    WeightBytes sum = outside;
    for (const LayerKind& kind : layer_kinds(config)) {
        const WeightBytes with = count({kind.spec});
        sum.all += kind.count * (with.all - outside.all);
        sum.packed += kind.count * (with.packed - outside.packed);
        sum.experts += kind.count * with.experts;
        sum.staging = std::max(sum.staging, with.staging);
    }
    return sum;
}

DType router_type(const ModelConfig& config, const std::function<DType(const TensorSpec&)>& type_of) {
    for (const TensorSpec& tensor : tensor_catalog(config))
        if (tensor.name.ends_with("/router")) return type_of(tensor);
    return DType::BF16;
}

DType router_type(SluiceCheckpoint& checkpoint) {
    return router_type(checkpoint.config(),
                       [&](const TensorSpec& tensor) { return checkpoint.find(tensor, 0).dtype; });
}

}  // namespace sluice
