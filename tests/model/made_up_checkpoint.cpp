#include "model/made_up_checkpoint.hpp"

#include "checkpoint/layout.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

namespace sluice::test {
namespace {

// In [-1, 1), from the tensor's name and an index (SplitMix64).
float noise(const std::string& name, std::int64_t index) {
    std::uint64_t z =
        std::hash<std::string>{}(name) + 0x9e3779b97f4a7c15ULL * static_cast<std::uint64_t>(index + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<float>(static_cast<std::int64_t>(z ^ (z >> 31)) >> 40) * 0x1p-23F;
}

class MadeUp final : public SluiceCheckpoint {
public:
    MadeUp(ModelConfig config, int slices) : config_(std::move(config)), slices_(slices) {}

    const ModelConfig& config() const override { return config_; }
    const std::string& config_json() const override { return nothing_; }
    const std::string& id() const override { return nothing_; }
    int slices() const override { return slices_; }
    const std::map<std::string, std::string>& text_files() const override { return none_; }
    const std::map<std::string, std::string>& provenance() const override { return none_; }
    bool holds_prediction() const override { return false; }
    std::uint64_t bytes_read() const override { return 0; }

    StoredPart find(const TensorSpec& spec, int slice) override {
        const Block block = block_of(spec, config_.quantization);
        StoredPart found;
        found.slice = spec.cut.along == Along::Common ? kCommonIndex : slice;
        const SlicePart part = slice_part(spec, found.slice, slices_, block);
        found.shape = part.shape;
        found.dtype = block == Block{} ? DType::BF16 : config_.quantization.dtype;
        if (block == Block{}) return found;
        found.scale_rows = part.scale_rows.size();
        found.scale_cols = part.scale_cols.size();
        found.block_rows = block.rows;
        found.block_cols = block.cols;
        found.row_offset = part.row_offset;
        found.col_offset = part.col_offset;
        return found;
    }

    void fill(const TensorSpec& spec, const StoredPart& found, std::byte* memory) override {
        const Block block{found.block_rows, found.block_cols};
        const SlicePart part = slice_part(spec, found.slice, slices_, block);
        const std::int64_t width = spec.full.rank() == 1 ? 1 : spec.full[1];
        std::byte* value = memory;
        for (std::int64_t row = part.rows.begin; row < part.rows.end; ++row) {
            for (std::int64_t col = part.cols.begin; col < part.cols.end; ++col)
                value = put(value, found.dtype, spec, row * width + col);
        }
        if (block == Block{}) return;
        // Where slice_in() has them; without an owner.
        const TensorSlice whole = slice_in({std::shared_ptr<const std::byte>(), memory}, found);
        auto* scale = const_cast<float*>(whole.scales.data());
        for (std::int64_t row = part.scale_rows.begin; row < part.scale_rows.end; ++row) {
            for (std::int64_t col = part.scale_cols.begin; col < part.scale_cols.end; ++col)
                *scale++ = spread(spec) / largest(found.dtype) *
                           (1 + 0.5F * noise(spec.name + ".scale", row * 1000 + col));
        }
    }

private:
    static float largest(DType dtype) { return dtype == DType::I8 ? 127.0F : 448.0F; }
    // Keeps the size of what the matrix multiplies.
    static float spread(const TensorSpec& spec) { return std::sqrt(3.0F / static_cast<float>(spec.full[1])); }

    // Returns where the next value goes.
    static std::byte* put(std::byte* at, DType dtype, const TensorSpec& spec, std::int64_t index) {
        const float value = noise(spec.name, index);
        const auto write = [&](auto bits) {
            std::memcpy(at, &bits, sizeof bits);
            return at + sizeof bits;
        };
        if (dtype == DType::I8) return write(static_cast<std::int8_t>(std::lround(127 * value)));
        if (dtype == DType::F8E4M3) return write(to_fp8(448 * value));
        if (spec.full.rank() == 1) {
            const bool bias = spec.name.ends_with("bias");
            return write(to_bf16(bias ? 0.1F * value : 1 + 0.25F * value));
        }
        return write(to_bf16(spec.name == "/embed" ? value : spread(spec) * value));
    }

    ModelConfig config_;
    int slices_;
    std::string nothing_;
    std::map<std::string, std::string> none_;
};

}  // namespace

std::unique_ptr<SluiceCheckpoint> made_up_checkpoint(ModelConfig config, int slices) {
    return std::make_unique<MadeUp>(std::move(config), slices);
}

}  // namespace sluice::test
