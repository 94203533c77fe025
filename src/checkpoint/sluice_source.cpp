// Sluice checkpoints as a source: to be cut, cast or compared again.
#include "checkpoint/check_scales.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>
#include <unordered_map>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();  // a scale that no slice has told yet

class SluiceSource final : public CheckpointSource {
public:
    explicit SluiceSource(const fs::path& folder)
        : folder_(folder), checkpoint_(open_sluice_checkpoint(folder)) {
        tensors_ = tensor_catalog(config());
        if (checkpoint_->holds_prediction())
            std::ranges::move(prediction_catalog(config()), std::back_inserter(tensors_));
        for (const TensorSpec& spec : tensors_) stored_.emplace(spec.name, find(spec));
    }

    SourceKind kind() const override { return SourceKind::Sluice; }
    const ModelConfig& config() const override { return checkpoint_->config(); }
    const std::string& config_json() const override { return checkpoint_->config_json(); }
    const std::map<std::string, std::string>& text_files() const override {
        return checkpoint_->text_files();
    }
    const std::vector<TensorSpec>& tensors() const override { return tensors_; }

    ValueForm form(const TensorSpec& spec) const override { return form_of(parts(spec).front()); }

    SourceTensor tensor(const TensorSpec& spec) const override {
        SourceTensor tensor;
        tensor.form = form(spec);
        tensor.shape = spec.full;
        tensor.where = fmt::format("{}: tensor {}", folder_.string(), spec.name);
        const Block block = tensor.form.block;
        tensor.scales.assign(static_cast<std::size_t>(scale_grid(spec.full, block).elements()), kNone);
        for (const StoredPart& stored : parts(spec)) {
            const SlicePart part = slice_part(spec, stored.slice, checkpoint_->slices(), block);
            tensor.pieces.push_back({stored.file, stored.values.offset, part.rows, part.cols,
                                     part.cols.size(), 1, stored.values.checksum});
            if (block != Block{}) put_scales(tensor, part, read_scales(*stored.file, stored.scales, spec));
        }
        check_scales(tensor.scales, tensor.where);
        return tensor;
    }

    const NameLayout& names() const override { return usual_layout(config()); }

    // Of the content, without a look at the files.
    std::string fingerprint() const override { return checkpoint_->id(); }

private:
    static ValueForm form_of(const StoredPart& part) {
        return {part.dtype, {part.block_rows, part.block_cols}};
    }

    const std::vector<StoredPart>& parts(const TensorSpec& spec) const {
        const auto found = stored_.find(spec.name);
        expect(found != stored_.end(), "tensor {} is not of this model's catalog", spec.name);
        return found->second;
    }

    std::vector<StoredPart> find(const TensorSpec& spec) const {
        std::vector<StoredPart> parts;
        for (const int slice : slices_of(spec, checkpoint_->slices())) {
            parts.push_back(checkpoint_->find(spec, slice));
            require(form_of(parts.back()) == form_of(parts.front()), ExitCode::Checkpoint,
                    "{}: the slices of tensor {} differ in type or blocks: shard the model again",
                    folder_.string(), spec.name);
        }
        return parts;
    }

    static std::vector<float> read_scales(const InputFile& file, const StoredBytes& stored,
                                          const TensorSpec& spec) {
        std::vector<float> scales(stored.bytes / sizeof(float));
        file.read(stored.offset, std::as_writable_bytes(std::span(scales)));
        const std::string found = checksum_text(checksum_of(scales.data(), stored.bytes));
        require(found == stored.checksum, ExitCode::Checkpoint,
                "{}: {} is altered: its checksum is {}, but {} was written; restore the file or shard again",
                file.path().string(), scale_dataset_name(spec.name), found, stored.checksum);
        return scales;
    }

    // A block's scale that two slices have must be the same in both.
    static void put_scales(SourceTensor& tensor, const SlicePart& part, const std::vector<float>& scales) {
        auto from = scales.begin();
        for (std::int64_t row = part.scale_rows.begin; row < part.scale_rows.end; ++row) {
            for (std::int64_t col = part.scale_cols.begin; col < part.scale_cols.end; ++col, ++from) {
                float& scale = tensor.scales[static_cast<std::size_t>(row * tensor.scale_cols() + col)];
                require(std::isnan(scale) || scale == *from, ExitCode::Checkpoint,
                        "{}: the scale of block [{}, {}] is {} in one slice, but {} in another: shard the "
                        "model again",
                        tensor.where, row, col, scale, *from);
                scale = *from;
            }
        }
    }

    fs::path folder_;
    std::unique_ptr<SluiceCheckpoint> checkpoint_;
    std::vector<TensorSpec> tensors_;
    std::unordered_map<std::string, std::vector<StoredPart>> stored_;
};

}  // namespace

std::unique_ptr<CheckpointSource> open_sluice_source(const fs::path& folder) {
    return std::make_unique<SluiceSource>(folder);
}

}  // namespace sluice
