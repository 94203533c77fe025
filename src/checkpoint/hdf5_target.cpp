#include "checkpoint/hdf5_target.hpp"

#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/metadata_block.hpp"
#include "checkpoint/output_file.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAlignment = 4096;
constexpr std::uint64_t kOverheadOfDataset = 8 << 10;  // alignment and metadata, at most

std::uint64_t aligned(std::uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

Shape scale_shape(const SlicePart& part) { return {part.scale_rows.size(), part.scale_cols.size()}; }

Shape text_shape(const std::string& text) { return {static_cast<std::int64_t>(text.size())}; }

std::string text_checksum(const std::string& text) {
    return checksum_text(checksum_of(text.data(), text.size()));
}

h5::Handle add(hid_t file, const std::string& name, DType dtype, const Shape& shape) {
    h5::Handle dataset = h5::create_dataset(file, name, dtype, shape);
    h5::set_attribute(dataset.get(), kChecksumAttribute, checksum_text(0));
    return dataset;
}

h5::Handle open(hid_t file, const std::string& name) {
    h5::Handle dataset = h5::open_dataset(file, name);
    h5::check(dataset.valid(), ExitCode::File, fmt::format("cannot open dataset {}", name));
    return dataset;
}

void allocate(hid_t file, const std::string& name) { h5::allocate(open(file, name).get(), name); }

void set_checksum(hid_t file, const std::string& name, std::uint64_t checksum) {
    h5::set_attribute(open(file, name).get(), kChecksumAttribute, checksum_text(checksum));
}

void close(h5::Handle& file, const fs::path& path) {
    h5::check(file.reset(), ExitCode::File, fmt::format("cannot write {}", path.string()));
}

// Follows the datasets of a file, which must stand one behind the other.
class Places {
public:
    Places(hid_t file, const fs::path& path, int index) : file_(file), path_(path), index_(index) {}

    Extent next(const std::string& name, std::uint64_t bytes) {
        if (bytes == 0) return {index_, 0, 0};
        const h5::Handle dataset = open(file_, name);
        const std::uint64_t offset = h5::place_of(dataset.get()).value_or(0);
        const bool behind = first_ == 0 ? offset > 0 && offset % kAlignment == 0 : offset == aligned(end_);
        require(behind && H5Dget_storage_size(dataset.get()) == bytes, ExitCode::File,
                "{}: {} does not stand where it was laid out: remove the folder and start again",
                path_.string(), name);
        if (first_ == 0) first_ = offset;
        end_ = offset + bytes;
        return {index_, offset, bytes};
    }

    // Of everything but values. No file is without values: common.h5 has the configuration.
    std::uint64_t metadata_end() const {
        require(fs::file_size(path_) == end_, ExitCode::File,
                "{}: {} bytes, {} were laid out: remove the folder and start again", path_.string(),
                fs::file_size(path_), end_);
        return first_;
    }

private:
    hid_t file_;
    const fs::path& path_;
    int index_;
    std::uint64_t first_ = 0, end_ = 0;
};

class Hdf5Target final : public CheckpointTarget {
public:
    explicit Hdf5Target(SluicePlan plan) : plan_(std::move(plan)), texts_(plan_.text_files) {
        texts_[std::string(kConfigName)] = plan_.config_json;
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice)
            names_.push_back(checkpoint_file_name(slice, plan_.slices));
    }

    std::uint64_t bytes() const override {
        std::uint64_t bytes = tensor_bytes(plan_);
        for (const PlannedTensor& tensor : plan_.tensors)
            bytes += slices_of(tensor.spec, plan_.slices).size() * (tensor.block.rows > 0 ? 2 : 1) *
                     kOverheadOfDataset;
        for (const auto& [name, text] : texts_) bytes += text.size() + kOverheadOfDataset;
        return bytes;
    }

    void create(const fs::path& folder) const override {
        const auto lock = h5::hdf5_lock();
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice) {
            lay_out(folder, slice);
            allocate_values(folder, slice);
            sync_path(path_of(folder, slice));
        }
        sync_path(folder);
    }

    void open(const fs::path& folder) override {
        const auto lock = h5::hdf5_lock();
        extents_.assign(plan_.tensors.size(), {});
        metadata_ends_.clear();
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice) {
            const fs::path path = path_of(folder, slice);
            const h5::Handle file = h5::open_to_read(path);
            Places places(file.get(), path, slice - kCommonIndex);
            if (slice == kCommonIndex)
                for (const auto& [name, text] : texts_) places.next(text_dataset_name(name), text.size());
            for_each_part(slice, [&](std::size_t index, std::size_t, const SlicePart& part) {
                const PlannedTensor& tensor = plan_.tensors[index];
                const Extent values = places.next(tensor.spec.name, part.value_bytes(tensor.dtype));
                const Extent scales =
                    tensor.block.rows == 0
                        ? Extent{}
                        : places.next(scale_dataset_name(tensor.spec.name), part.scale_bytes());
                extents_[index].emplace_back(values, scales);
            });
            metadata_ends_.push_back(places.metadata_end());
        }
    }

    const std::vector<std::string>& files() const override { return names_; }

    std::vector<PlacedPart> parts(std::size_t index) const override {
        const PlannedTensor& tensor = plan_.tensors.at(index);
        std::vector<PlacedPart> parts;
        for (const int slice : slices_of(tensor.spec, plan_.slices)) {
            const SlicePart part = slice_part(tensor.spec, slice, plan_.slices, tensor.block);
            const auto& [values, scales] = extents_.at(index).at(parts.size());
            parts.push_back({part.rows, part.cols, part.scale_rows, part.scale_cols, values, scales});
        }
        return parts;
    }

    std::string seal(const fs::path& folder,
                     const std::vector<std::vector<PartChecksums>>& checksums) override {
        expect(metadata_ends_.size() == names_.size() && checksums.size() == plan_.tensors.size(),
               "{} tensors' checksums for {}, of {} open files", checksums.size(), plan_.tensors.size(),
               metadata_ends_.size());
        const auto lock = h5::hdf5_lock();
        const std::string id = id_of(checksums);
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice) {
            const fs::path path = path_of(folder, slice);
            h5::Handle file = h5::open_to_fill(path);
            for_each_part(slice, [&](std::size_t index, std::size_t number, const SlicePart&) {
                const PlannedTensor& tensor = plan_.tensors[index];
                const PartChecksums& part = checksums[index].at(number);
                set_checksum(file.get(), tensor.spec.name, part.values);
                if (tensor.block.rows > 0)
                    set_checksum(file.get(), scale_dataset_name(tensor.spec.name), part.scales);
            });
            h5::set_attribute(file.get(), kIdAttribute, id);
            close(file, path);
        }
        for (std::size_t file = 0; file < names_.size(); ++file)
            write_metadata_block(folder / names_[file], metadata_ends_[file]);
        return id;
    }

private:
    // `part` is its number among the tensor's, as in parts().
    using VisitPart = std::function<void(std::size_t tensor, std::size_t part, const SlicePart&)>;
    void for_each_part(int slice, const VisitPart& visit) const {
        for (std::size_t index = 0; index < plan_.tensors.size(); ++index) {
            const PlannedTensor& tensor = plan_.tensors[index];
            const auto holders = slices_of(tensor.spec, plan_.slices);
            const auto found = std::ranges::find(holders, slice);
            if (found != holders.end())
                visit(index, static_cast<std::size_t>(found - holders.begin()),
                      slice_part(tensor.spec, slice, plan_.slices, tensor.block));
        }
    }

    fs::path path_of(const fs::path& folder, int slice) const {
        return folder / checkpoint_file_name(slice, plan_.slices);
    }

    // Datasets, groups and attributes, with room for what is known only later.
    void lay_out(const fs::path& folder, int slice) const {
        h5::Handle file = h5::create_file(path_of(folder, slice));
        h5::set_attribute(file.get(), "format", std::string(kFormatName));
        h5::set_attribute(file.get(), "version", kFormatVersion);
        h5::set_attribute(file.get(), "slices", plan_.slices);
        h5::set_attribute(file.get(), "slice", slice);
        h5::set_attribute(file.get(), kIdAttribute, std::string(ContentId::kDigits, '0'));
        if (slice == kCommonIndex) {
            for (const auto& [name, value] : plan_.provenance)
                h5::set_attribute(file.get(), name.c_str(), value);
            for (const auto& [name, text] : texts_)
                add(file.get(), text_dataset_name(name), DType::U8, text_shape(text));
        }
        for_each_part(slice, [&](std::size_t index, std::size_t, const SlicePart& part) {
            const PlannedTensor& tensor = plan_.tensors[index];
            add(file.get(), tensor.spec.name, tensor.dtype, part.shape);
            if (tensor.block.rows == 0) return;
            const h5::Handle scale =
                add(file.get(), scale_dataset_name(tensor.spec.name), DType::F32, scale_shape(part));
            h5::set_attribute(scale.get(), "block_rows", tensor.block.rows);
            h5::set_attribute(scale.get(), "block_cols", tensor.block.cols);
            h5::set_attribute(scale.get(), "row_offset", part.row_offset);
            h5::set_attribute(scale.get(), "col_offset", part.col_offset);
        });
        close(file, path_of(folder, slice));
    }

    void allocate_values(const fs::path& folder, int slice) const {
        h5::Handle file = h5::open_to_fill(path_of(folder, slice));
        if (slice == kCommonIndex)
            for (const auto& [name, text] : texts_) write_text(file.get(), text_dataset_name(name), text);
        for_each_part(slice, [&](std::size_t index, std::size_t, const SlicePart&) {
            const PlannedTensor& tensor = plan_.tensors[index];
            allocate(file.get(), tensor.spec.name);
            if (tensor.block.rows > 0) allocate(file.get(), scale_dataset_name(tensor.spec.name));
        });
        close(file, path_of(folder, slice));
    }

    static void write_text(hid_t file, const std::string& name, const std::string& text) {
        const h5::Handle dataset = sluice::open(file, name);
        if (!text.empty())
            h5::check(
                H5Dwrite(dataset.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) >= 0,
                ExitCode::File, fmt::format("cannot write {}", name));
        h5::set_attribute(dataset.get(), kChecksumAttribute, text_checksum(text));
    }

    std::string id_of(const std::vector<std::vector<PartChecksums>>& checksums) const {
        ContentId id;
        for (const auto& [name, text] : texts_)
            id.add(text_dataset_name(name), kCommonIndex, name_of(DType::U8), text_shape(text),
                   text_checksum(text));
        for (std::size_t index = 0; index < plan_.tensors.size(); ++index) {
            const PlannedTensor& tensor = plan_.tensors[index];
            const auto holders = slices_of(tensor.spec, plan_.slices);
            expect(checksums[index].size() == holders.size(), "{}: {} checksums for {} parts",
                   tensor.spec.name, checksums[index].size(), holders.size());
            for (std::size_t number = 0; number < holders.size(); ++number) {
                const int slice = holders[number];
                const SlicePart part = slice_part(tensor.spec, slice, plan_.slices, tensor.block);
                const PartChecksums& own = checksums[index][number];
                id.add(tensor.spec.name, slice, name_of(tensor.dtype), part.shape, checksum_text(own.values));
                if (tensor.block.rows > 0)
                    id.add(scale_dataset_name(tensor.spec.name), slice, name_of(DType::F32),
                           scale_shape(part), checksum_text(own.scales));
            }
        }
        return id.text();
    }

    SluicePlan plan_;
    std::map<std::string, std::string> texts_;  // the configuration, too
    std::vector<std::string> names_;
    std::vector<std::vector<std::pair<Extent, Extent>>> extents_;  // of each tensor's parts: values, scales
    std::vector<std::uint64_t> metadata_ends_;                     // of each file
};

}  // namespace

std::unique_ptr<CheckpointTarget> hdf5_target(SluicePlan plan) {
    return std::make_unique<Hdf5Target>(std::move(plan));
}

}  // namespace sluice
