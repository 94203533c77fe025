// Checkpoints in Hugging Face's layout: configuration, safetensors, and for fp8 a scale for each block of a
// matrix.
#include "checkpoint/check_scales.hpp"
#include "checkpoint/checksum.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/source.hpp"
#include "core/json.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <unordered_map>

namespace sluice {
namespace {

struct Found {
    TensorPlace values, scales;  // no scales: no entry
};

bool same_shape(const Shape& shape, const std::vector<std::int64_t>& dims) {
    if (static_cast<int>(dims.size()) != shape.rank()) return false;
    for (int axis = 0; axis < shape.rank(); ++axis)
        if (shape[axis] != dims[static_cast<std::size_t>(axis)]) return false;
    return true;
}

class HuggingFaceCheckpoint final : public CheckpointSource {
public:
    explicit HuggingFaceCheckpoint(const std::filesystem::path& folder)
        : folder_(folder.string()), config_path_(find_config(folder)) {
        config_json_ = read_file(config_path_, ExitCode::Checkpoint);
        config_ = parse_config(config_json_, config_path_.string());
        require(
            config_.quantization.dtype != DType::I8, ExitCode::Checkpoint,
            "{}: 'quantization_config' says int8, which checkpoints in this layout do not hold; remove it "
            "if the tensors are bfloat16 or float32",
            config_path_.string());
        text_files_ = read_text_files(folder);
        files_ = std::make_unique<HuggingFaceFiles>(folder);
        layout_ = &hugging_face_layout(
            config_, [&](const std::string& name) { return files_->tensors().contains(name); });
        match();
    }

    SourceKind kind() const override { return SourceKind::HuggingFace; }
    const ModelConfig& config() const override { return config_; }
    const std::string& config_json() const override { return config_json_; }
    const std::map<std::string, std::string>& text_files() const override { return text_files_; }
    const std::vector<TensorSpec>& tensors() const override { return tensors_; }

    ValueForm form(const TensorSpec& spec) const override {
        const Found& found = this->found(spec);
        return {*found.values.entry->type, found.scales.entry == nullptr ? Block{} : block()};
    }

    SourceTensor tensor(const TensorSpec& spec) const override {
        const Found& found = this->found(spec);
        const SafetensorsEntry& entry = *found.values.entry;
        const InputFile& file = found.values.file->file();
        SourceTensor tensor;
        tensor.form = form(spec);
        tensor.shape = spec.full;
        tensor.where = fmt::format("{}: tensor {}", file.path().string(), layout_->name_of(spec));
        tensor.pieces.push_back({&file, entry.begin, {0, tensor.rows()}, {0, tensor.cols()}, tensor.cols()});
        if (found.scales.entry != nullptr) read_scales(found.scales, tensor);
        return tensor;
    }

    const NameLayout& names() const override { return *layout_; }

    std::string fingerprint() const override {
        std::string text = config_json_;
        for (const auto& file : files_->files()) text += file->file().stamp();
        return checksum_text(checksum_of(text.data(), text.size()));
    }

private:
    Block block() const { return {config_.quantization.block_rows, config_.quantization.block_cols}; }

    const Found& found(const TensorSpec& spec) const {
        const auto place = found_.find(spec.name);
        expect(place != found_.end(), "tensor {} is not of this model's catalog", spec.name);
        return place->second;
    }

    // Both directions: the catalog's tensors are in the files, and the files' tensors in the catalog. Layers
    // for multi-token prediction may have been left out, but only whole.
    void match() {
        std::vector<std::string> missing;
        std::set<std::string> known;
        tensors_ = tensor_catalog(config_);
        std::vector<TensorSpec> prediction = prediction_catalog(config_);
        if (std::ranges::any_of(prediction, [&](const TensorSpec& spec) { return holds(spec); }))
            std::ranges::move(prediction, std::back_inserter(tensors_));
        for (const TensorSpec& spec : tensors_) {
            const std::string name = layout_->name_of(spec);
            const auto values = files_->tensors().find(name);
            if (values == files_->tensors().end()) {
                missing.push_back(name);
                continue;
            }
            Found& found = found_[spec.name];
            found.values = values->second;
            check_values(spec, name, found.values);
            known.insert(name);
            if (found.values.entry->type == DType::F8E4M3) {
                found.scales = scales_of(spec, name);
                known.insert(scale_name(name));
            }
        }
        require(missing.empty(), ExitCode::Checkpoint, "{}: {} tensors are missing that {} asks for: {}",
                folder_, missing.size(), config_path_.filename().string(), first_few(missing));
        std::vector<std::string> unknown;
        for (const auto& [name, place] : files_->tensors())
            if (!known.contains(name) && !is_left_alone(name, *layout_, config_)) unknown.push_back(name);
        require(unknown.empty(), ExitCode::Checkpoint,
                "{}: {} tensors are not part of the model that {} describes: {}; a result without them would "
                "be wrong",
                folder_, unknown.size(), config_path_.filename().string(), first_few(unknown));
    }

    bool holds(const TensorSpec& spec) const { return files_->tensors().contains(layout_->name_of(spec)); }

    void check_values(const TensorSpec& spec, const std::string& name, const TensorPlace& place) const {
        const SafetensorsEntry& entry = *place.entry;
        const std::string where = fmt::format("{}: tensor {}", place.file->path().string(), name);
        require(same_shape(spec.full, entry.dims), ExitCode::Checkpoint, "{}: shape {}; {} says {}", where,
                entry.shape_text(), config_path_.filename().string(), spec.full.text());
        require(entry.dtype != "F16", ExitCode::Checkpoint,
                "{}: float16 weights are not supported: convert the checkpoint to bfloat16 first", where);
        if (spec.quantizable && config_.quantization.dtype == DType::F8E4M3) {
            require(entry.type == DType::F8E4M3, ExitCode::Checkpoint,
                    "{}: dtype {}; {} says that it is quantised, F8_E4M3", where, entry.dtype,
                    config_path_.filename().string());
            return;
        }
        require(entry.type == DType::BF16 || entry.type == DType::F32, ExitCode::Checkpoint,
                "{}: unsupported dtype {}; expected BF16 or F32{}", where, entry.dtype,
                entry.type == DType::F8E4M3 && spec.quantizable
                    ? " (the configuration has no quantization_config)"
                    : "");
    }

    TensorPlace scales_of(const TensorSpec& spec, const std::string& weight) const {
        const std::string name = scale_name(weight);
        const auto scales = files_->tensors().find(name);
        require(scales != files_->tensors().end(), ExitCode::Checkpoint,
                "{}: tensor {} is missing: the block scales of {}, without which its fp8 values mean nothing",
                folder_, name, weight);
        const SafetensorsEntry& entry = *scales->second.entry;
        const Shape expected{blocks(spec.full[0], config_.quantization.block_rows),
                             blocks(spec.full[1], config_.quantization.block_cols)};
        require(entry.type == DType::F32 && same_shape(expected, entry.dims), ExitCode::Checkpoint,
                "{}: tensor {}: {} {}; expected F32 {}, one scale for each {} x {} block of {}",
                scales->second.file->path().string(), name, entry.dtype, entry.shape_text(), expected.text(),
                config_.quantization.block_rows, config_.quantization.block_cols, spec.full.text());
        return scales->second;
    }

    void read_scales(const TensorPlace& place, SourceTensor& tensor) const {
        tensor.scales.resize((place.entry->end - place.entry->begin) / sizeof(float));
        place.file->file().read(place.entry->begin, std::as_writable_bytes(std::span(tensor.scales)));
        check_scales(tensor.scales, tensor.where);
    }

    std::string folder_;
    std::filesystem::path config_path_;
    std::string config_json_;
    ModelConfig config_;
    std::map<std::string, std::string> text_files_;
    std::unique_ptr<HuggingFaceFiles> files_;
    const NameLayout* layout_ = nullptr;
    std::vector<TensorSpec> tensors_;
    std::unordered_map<std::string, Found> found_;
};

}  // namespace

std::unique_ptr<CheckpointSource> open_hugging_face(const std::filesystem::path& folder) {
    return std::make_unique<HuggingFaceCheckpoint>(folder);
}

}  // namespace sluice
