#include "checkpoint/sluice_checkpoint.hpp"

#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_file.hpp"
#include "core/error.hpp"
#include "core/units.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLongestText = std::uint64_t{1} << 30;

std::uint64_t padded(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::uint64_t value_bytes(const PartForm& form) {
    return static_cast<std::uint64_t>(form.shape.elements()) * size_of(form.dtype);
}

std::uint64_t scales_begin(const PartForm& form) { return padded(value_bytes(form)); }

class Checkpoint final : public SluiceCheckpoint {
public:
    Checkpoint(fs::path folder, std::optional<Range> slices) : folder_(std::move(folder)) {
        const fs::path path = folder_ / checkpoint_file_name(kCommonIndex, 0);
        require(fs::exists(path), ExitCode::Checkpoint,
                "{}: not a Sluice checkpoint, {} is missing: make one with sluice-shard --input MODEL "
                "--output DIR",
                folder_.string(), path.filename().string());
        files_[kCommonIndex] = std::make_unique<SluiceFile>(path, kCommonIndex, 0);
        const SluiceFile& common = *files_[kCommonIndex];
        slices_ = common.slices();
        id_ = common.id();
        read_texts(common);
        holds_prediction_ = !common.names_in("/mtp").empty();
        const Range needed = slices.value_or(Range{0, slices_});
        for (auto slice = static_cast<int>(needed.begin); slice < needed.end; ++slice) {
            const fs::path file = folder_ / checkpoint_file_name(slice, slices_);
            require(fs::exists(file), ExitCode::Checkpoint, "{} is missing: the checkpoint has {} slices",
                    file.string(), slices_);
        }
    }

    const ModelConfig& config() const override { return config_; }
    const std::string& config_json() const override { return config_json_; }
    const std::string& id() const override { return id_; }
    int slices() const override { return slices_; }
    const std::map<std::string, std::string>& text_files() const override { return text_files_; }
    const std::map<std::string, std::string>& provenance() const override { return provenance_; }
    bool holds_prediction() const override { return holds_prediction_; }
    std::uint64_t bytes_read() const override { return bytes_read_; }

    StoredPart find(const TensorSpec& spec, int slice) override {
        const bool common = spec.cut.along == Along::Common;
        expect(common || (slice >= 0 && slice < slices_), "slice {} of {}", slice, slices_);
        StoredPart found;
        found.slice = common ? kCommonIndex : slice;
        const SlicePart part = slice_part(spec, found.slice, slices_, {});
        found.shape = part.shape;
        if (part.empty()) return found;
        const SluiceFile& from = file(found.slice);
        const StoredDataset values = from.find(spec.name);
        const std::string where = fmt::format("{}: {}", from.path().string(), spec.name);
        require(values.shape == part.shape, ExitCode::Checkpoint, "{}: shape {}; the model needs {}", where,
                values.shape.text(), part.shape.text());
        found.file = &from.file();
        found.dtype = values.dtype;
        found.values = values;
        const bool quantised = found.dtype == DType::F8E4M3 || found.dtype == DType::I8;
        const bool plain = found.dtype == DType::BF16 || found.dtype == DType::F32;
        require(plain || (quantised && spec.quantizable), ExitCode::Checkpoint,
                "{}: type {}; expected bfloat16 or float32{}", where, name_of(found.dtype),
                spec.quantizable ? ", float8_e4m3fn or int8" : "");
        if (quantised) find_scales(from, spec, found);
        return found;
    }

    void fill(const TensorSpec& spec, const StoredPart& part, std::byte* memory) override {
        if (part.bytes() == 0) return;
        const SluiceFile& from = file(part.slice);
        from.read(spec.name, part.values, memory);
        if (part.scales.bytes > 0)
            from.read(scale_dataset_name(spec.name), part.scales, memory + scales_begin(part));
        bytes_read_ += part.bytes();
    }

private:
    void read_texts(const SluiceFile& common) {
        for (const std::string& name : common.names_in("/files")) {
            const StoredDataset stored = common.find(text_dataset_name(name));
            require(stored.bytes <= kLongestText, ExitCode::Checkpoint, "{}: {} of {}: no text is so long",
                    common.path().string(), text_dataset_name(name), bytes_text(stored.bytes));
            std::string text(stored.bytes, '\0');
            common.read(text_dataset_name(name), stored, text.data());
            text_files_.emplace(name, std::move(text));
        }
        const auto config = text_files_.extract(std::string(kConfigName));
        require(!config.empty(), ExitCode::Checkpoint, "{}: {} is missing", common.path().string(),
                text_dataset_name(kConfigName));
        config_json_ = config.mapped();
        config_ = parse_config(config_json_, fmt::format("{}: {}", common.path().string(), kConfigName));
        provenance_ = common.text_attributes();
        provenance_.erase("format");
        provenance_.erase("checkpoint_id");
    }

    // Opened when first asked for.
    const SluiceFile& file(int slice) {
        const std::lock_guard lock(files_lock_);
        std::unique_ptr<SluiceFile>& file = files_[slice];
        if (file == nullptr) {
            auto opened =
                std::make_unique<SluiceFile>(folder_ / checkpoint_file_name(slice, slices_), slice, slices_);
            require(opened->id() == id_, ExitCode::Checkpoint,
                    "{}: it belongs to checkpoint {}, but common.h5 to {}: the folder mixes two checkpoints",
                    opened->path().string(), opened->id(), id_);
            file = std::move(opened);
        }
        return *file;
    }

    void find_scales(const SluiceFile& from, const TensorSpec& spec, StoredPart& part) const {
        const std::string name = scale_dataset_name(spec.name);
        const StoredDataset scales = from.find(name);
        const std::string where = fmt::format("{}: {}", from.path().string(), name);
        part.block_rows = number(scales, "block_rows", where);
        part.block_cols = number(scales, "block_cols", where);
        require(part.block_rows > 0 && part.block_cols > 0, ExitCode::Checkpoint, "{}: blocks of {} x {}",
                where, part.block_rows, part.block_cols);
        const SlicePart expected = slice_part(spec, part.slice, slices_, {part.block_rows, part.block_cols});
        part.row_offset = number(scales, "row_offset", where);
        part.col_offset = number(scales, "col_offset", where);
        part.scale_rows = expected.scale_rows.size();
        part.scale_cols = expected.scale_cols.size();
        require(scales.dtype == DType::F32 && scales.shape == Shape{part.scale_rows, part.scale_cols} &&
                    part.row_offset == expected.row_offset && part.col_offset == expected.col_offset,
                ExitCode::Checkpoint, "{}: {} {} at ({}, {}); expected float32 [{}, {}] at ({}, {})", where,
                name_of(scales.dtype), scales.shape.text(), part.row_offset, part.col_offset, part.scale_rows,
                part.scale_cols, expected.row_offset, expected.col_offset);
        part.scales = scales;
    }

    static int number(const StoredDataset& dataset, const char* name, const std::string& where) {
        const auto found = dataset.numbers.find(name);
        require(found != dataset.numbers.end(), ExitCode::Checkpoint, "{}: attribute {} is missing", where,
                name);
        return found->second;
    }

    fs::path folder_;
    std::mutex files_lock_;
    std::map<int, std::unique_ptr<SluiceFile>> files_;
    int slices_ = 0;
    bool holds_prediction_ = false;
    std::string id_, config_json_;
    ModelConfig config_;
    std::map<std::string, std::string> text_files_, provenance_;
    std::atomic<std::uint64_t> bytes_read_ = 0;
};

}  // namespace

std::uint64_t memory_bytes(const PartForm& form) {
    return scales_begin(form) +
           padded(static_cast<std::uint64_t>(form.scale_rows * form.scale_cols) * sizeof(float));
}

TensorSlice slice_in(std::shared_ptr<const std::byte> memory, const PartForm& form) {
    TensorSlice slice{form, std::move(memory), {}, {}};
    const std::byte* values = slice.memory.get();
    slice.values = {values, value_bytes(form)};
    if (form.scale_rows == 0) return slice;
    slice.scales = {reinterpret_cast<const float*>(values + scales_begin(form)),
                    static_cast<std::size_t>(form.scale_rows * form.scale_cols)};
    return slice;
}

TensorSlice SluiceCheckpoint::read(const TensorSpec& tensor, int slice) {
    const StoredPart part = find(tensor, slice);
    const auto free_memory = [](void* memory) { std::free(memory); };
    const std::shared_ptr<std::byte> memory(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, std::max(memory_bytes(part), kAlignment))),
        free_memory);
    if (memory == nullptr) throw std::bad_alloc();
    fill(tensor, part, memory.get());
    return slice_in(memory, part);
}

bool is_sluice_checkpoint(const fs::path& folder) {
    return fs::exists(folder / checkpoint_file_name(kCommonIndex, 0));
}

std::unique_ptr<SluiceCheckpoint> open_sluice_checkpoint(const fs::path& folder,
                                                         std::optional<Range> slices) {
    return std::make_unique<Checkpoint>(folder, slices);
}

}  // namespace sluice
