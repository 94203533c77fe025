#include "checkpoint/sluice_checkpoint.hpp"

#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_file.hpp"
#include "core/error.hpp"

#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class Checkpoint final : public SluiceCheckpoint {
public:
    explicit Checkpoint(fs::path folder) : folder_(std::move(folder)) {
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
        for (int slice = 0; slice < slices_; ++slice) {
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
    std::uint64_t bytes_read() const override { return bytes_read_; }

    StoredPart find(const TensorSpec& spec, int slice) override { return locate(spec, slice).part; }

    TensorSlice read(const TensorSpec& spec, int slice) override {
        const Located located = locate(spec, slice);
        const StoredPart& part = located.part;
        TensorSlice out;
        out.dtype = part.dtype;
        out.shape = part.shape;
        out.scale_rows = part.scale_rows;
        out.scale_cols = part.scale_cols;
        out.block_rows = part.block_rows;
        out.block_cols = part.block_cols;
        out.row_offset = part.row_offset;
        out.col_offset = part.col_offset;
        if (located.file == nullptr) return out;
        out.values.resize(located.values.bytes);
        located.file->read(spec.name, located.values, out.values.data());
        out.scales.resize(static_cast<std::size_t>(part.scale_rows * part.scale_cols));
        if (!out.scales.empty())
            located.file->read(scale_dataset_name(spec.name), located.scales, out.scales.data());
        bytes_read_ += part.bytes;
        return out;
    }

private:
    struct Located {
        StoredPart part;
        const SluiceFile* file = nullptr;  // null: the slice holds nothing
        StoredDataset values, scales;
    };

    void read_texts(const SluiceFile& common) {
        for (const std::string& name : common.names_in("/files")) {
            const StoredDataset stored = common.find(text_dataset_name(name));
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

    const SluiceFile& file(int slice) {
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

    Located locate(const TensorSpec& spec, int slice) {
        const bool common = spec.cut.along == Along::Common;
        expect(common || (slice >= 0 && slice < slices_), "slice {} of {}", slice, slices_);
        const SlicePart part = slice_part(spec, common ? kCommonIndex : slice, slices_, {});
        Located found;
        found.part.shape = part.shape;
        if (part.empty()) return found;
        found.file = &file(common ? kCommonIndex : slice);
        found.values = found.file->find(spec.name);
        const std::string where = fmt::format("{}: {}", found.file->path().string(), spec.name);
        require(found.values.shape == part.shape, ExitCode::Checkpoint, "{}: shape {}; the model needs {}",
                where, found.values.shape.text(), part.shape.text());
        found.part.dtype = *found.values.dtype;
        found.part.bytes = found.values.bytes;
        found.part.checksum = found.values.checksum;
        const bool quantised = found.part.dtype == DType::F8E4M3 || found.part.dtype == DType::I8;
        const bool plain = found.part.dtype == DType::BF16 || found.part.dtype == DType::F32;
        require(plain || (quantised && spec.quantizable), ExitCode::Checkpoint,
                "{}: type {}; expected bfloat16 or float32{}", where, name_of(found.part.dtype),
                spec.quantizable ? ", float8_e4m3fn or int8" : "");
        if (quantised) locate_scales(spec, slice, found);
        return found;
    }

    void locate_scales(const TensorSpec& spec, int slice, Located& found) {
        const std::string name = scale_dataset_name(spec.name);
        found.scales = found.file->find(name);
        const std::string where = fmt::format("{}: {}", found.file->path().string(), name);
        StoredPart& part = found.part;
        part.block_rows = number(found.scales, "block_rows", where);
        part.block_cols = number(found.scales, "block_cols", where);
        require(part.block_rows > 0 && part.block_cols > 0, ExitCode::Checkpoint, "{}: blocks of {} x {}",
                where, part.block_rows, part.block_cols);
        const SlicePart expected = slice_part(spec, slice, slices_, {part.block_rows, part.block_cols});
        part.row_offset = number(found.scales, "row_offset", where);
        part.col_offset = number(found.scales, "col_offset", where);
        part.scale_rows = expected.scale_rows.size();
        part.scale_cols = expected.scale_cols.size();
        require(found.scales.dtype == DType::F32 &&
                    found.scales.shape == Shape{part.scale_rows, part.scale_cols} &&
                    part.row_offset == expected.row_offset && part.col_offset == expected.col_offset,
                ExitCode::Checkpoint, "{}: {} {} at ({}, {}); expected float32 [{}, {}] at ({}, {})", where,
                name_of(*found.scales.dtype), found.scales.shape.text(), part.row_offset, part.col_offset,
                part.scale_rows, part.scale_cols, expected.row_offset, expected.col_offset);
        part.bytes += found.scales.bytes;
    }

    static int number(const StoredDataset& dataset, const char* name, const std::string& where) {
        const auto found = dataset.numbers.find(name);
        require(found != dataset.numbers.end(), ExitCode::Checkpoint, "{}: attribute {} is missing", where,
                name);
        return found->second;
    }

    fs::path folder_;
    std::map<int, std::unique_ptr<SluiceFile>> files_;
    int slices_ = 0;
    std::string id_, config_json_;
    ModelConfig config_;
    std::map<std::string, std::string> text_files_, provenance_;
    std::uint64_t bytes_read_ = 0;
};

}  // namespace

bool is_sluice_checkpoint(const fs::path& folder) {
    return fs::exists(folder / checkpoint_file_name(kCommonIndex, 0));
}

std::unique_ptr<SluiceCheckpoint> open_sluice_checkpoint(const fs::path& folder) {
    return std::make_unique<Checkpoint>(folder);
}

}  // namespace sluice
