#include "checkpoint/sluice_writer.hpp"

#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/staging.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kChecksum = "xxh3_64";
constexpr const char* kId = "checkpoint_id";
constexpr std::uint64_t kChunkBytes = 4 << 20;         // rows are gathered and written in pieces of this size
constexpr std::uint64_t kOverheadOfDataset = 8 << 10;  // alignment and metadata, at most

Shape scale_shape(const SlicePart& part) { return {part.scale_rows.size(), part.scale_cols.size()}; }

std::uint64_t part_bytes(const PlannedTensor& tensor, const SlicePart& part) {
    return static_cast<std::uint64_t>(part.shape.elements()) * size_of(tensor.dtype) +
           static_cast<std::uint64_t>(scale_shape(part).elements()) * sizeof(float);
}

}  // namespace

std::uint64_t tensor_bytes(const SluicePlan& plan) {
    std::uint64_t bytes = 0;
    for (const PlannedTensor& tensor : plan.tensors) {
        for (const int slice : slices_of(tensor.spec, plan.slices)) {
            bytes += part_bytes(tensor, slice_part(tensor.spec, slice, plan.slices, tensor.block));
        }
    }
    return bytes;
}

class SluiceWriter::Impl {
public:
    Impl(const std::filesystem::path& target, SluicePlan plan) : folder_(target), plan_(std::move(plan)) {
        std::uint64_t datasets = 0;
        for (const PlannedTensor& tensor : plan_.tensors)
            datasets += slices_of(tensor.spec, plan_.slices).size() * (tensor.block.rows > 0 ? 2 : 1);
        folder_.require_space(tensor_bytes(plan_) + datasets * kOverheadOfDataset);
        text_ = plan_.text_files;
        text_[std::string(kConfigName)] = plan_.config_json;
        const auto lock = h5::hdf5_lock();
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice) lay_out(slice);
        for (int slice = kCommonIndex; slice < plan_.slices; ++slice)
            files_[slice] = h5::open_to_fill(folder_.path() / checkpoint_file_name(slice, plan_.slices));
        for (const auto& [name, text] : text_) {
            write_rows(kCommonIndex, text_dataset_name(name), DType::U8,
                       {static_cast<std::int64_t>(text.size())}, [&text = text](Range rows, std::byte* out) {
                           std::copy_n(reinterpret_cast<const std::byte*>(text.data()) + rows.begin,
                                       rows.size(), out);
                       });
        }
    }

    void write(const PlannedTensor& tensor, int slice, const FillRows& fill, std::span<const float> scales) {
        const SlicePart part = slice_part(tensor.spec, slice, plan_.slices, tensor.block);
        const auto lock = h5::hdf5_lock();
        write_rows(slice, tensor.spec.name, tensor.dtype, part.shape, fill);
        if (tensor.block.rows == 0) return;
        const Shape shape = scale_shape(part);
        expect(std::cmp_equal(scales.size(), shape.elements()), "{}: {} scales for {}", tensor.spec.name,
               scales.size(), shape.text());
        write_rows(
            slice, scale_dataset_name(tensor.spec.name), DType::F32, shape, [&](Range rows, std::byte* out) {
                const auto* first = reinterpret_cast<const std::byte*>(scales.data() + rows.begin * shape[1]);
                std::copy_n(first, static_cast<std::size_t>(rows.size() * shape[1]) * sizeof(float), out);
            });
    }

    std::string finish() {
        const auto lock = h5::hdf5_lock();
        expect(unwritten_.empty(), "{} was never written",
               unwritten_.empty() ? "" : unwritten_.begin()->first);
        const std::string id = id_.text();
        for (auto& [slice, file] : files_) {
            h5::set_attribute(file.get(), kId, id);
            h5::check(file.reset(), ExitCode::File,
                      fmt::format("cannot write {}",
                                  (folder_.path() / checkpoint_file_name(slice, plan_.slices)).string()));
        }
        files_.clear();
        folder_.commit();
        return id;
    }

private:
    // Datasets, groups and attributes, with room for what is known only later.
    void lay_out(int slice) {
        h5::Handle file = h5::create_file(folder_.path() / checkpoint_file_name(slice, plan_.slices));
        h5::set_attribute(file.get(), "format", std::string(kFormatName));
        h5::set_attribute(file.get(), "version", kFormatVersion);
        h5::set_attribute(file.get(), "slices", plan_.slices);
        h5::set_attribute(file.get(), "slice", slice);
        h5::set_attribute(file.get(), kId, std::string(ContentId::kDigits, '0'));
        if (slice == kCommonIndex) {
            for (const auto& [name, value] : plan_.provenance)
                h5::set_attribute(file.get(), name.c_str(), value);
            for (const auto& [name, text] : text_)
                add(file.get(), slice, text_dataset_name(name), DType::U8,
                    {static_cast<std::int64_t>(text.size())});
        }
        for (const PlannedTensor& tensor : plan_.tensors) {
            const auto holders = slices_of(tensor.spec, plan_.slices);
            if (std::ranges::find(holders, slice) != holders.end()) lay_out(file.get(), slice, tensor);
        }
        h5::check(file.reset(), ExitCode::File,
                  "cannot lay out " + checkpoint_file_name(slice, plan_.slices));
    }

    void lay_out(hid_t file, int slice, const PlannedTensor& tensor) {
        const SlicePart part = slice_part(tensor.spec, slice, plan_.slices, tensor.block);
        add(file, slice, tensor.spec.name, tensor.dtype, part.shape);
        if (tensor.block.rows == 0) return;
        const h5::Handle scale =
            add(file, slice, scale_dataset_name(tensor.spec.name), DType::F32, scale_shape(part));
        h5::set_attribute(scale.get(), "block_rows", tensor.block.rows);
        h5::set_attribute(scale.get(), "block_cols", tensor.block.cols);
        h5::set_attribute(scale.get(), "row_offset", part.row_offset);
        h5::set_attribute(scale.get(), "col_offset", part.col_offset);
    }

    h5::Handle add(hid_t file, int slice, const std::string& name, DType dtype, const Shape& shape) {
        h5::Handle dataset = h5::create_dataset(file, name, dtype, shape);
        h5::set_attribute(dataset.get(), kChecksum, checksum_text(0));
        unwritten_.emplace(name, slice);
        return dataset;
    }

    void write_rows(int slice, const std::string& name, DType dtype, const Shape& shape,
                    const FillRows& fill) {
        const auto file = files_.find(slice);
        expect(unwritten_.erase({name, slice}) == 1 && file != files_.end(), "{} of slice {} is not planned",
               name, slice);
        const h5::Handle dataset = h5::open_dataset(file->second.get(), name);
        h5::check(dataset.valid(), ExitCode::File, fmt::format("cannot open dataset {}", name));
        const std::int64_t rows = shape[0];
        const auto row_elements = static_cast<std::uint64_t>(rows == 0 ? 0 : shape.elements() / rows);
        const std::uint64_t row_bytes = row_elements * size_of(dtype);
        const auto chunk = static_cast<std::int64_t>(
            std::max<std::uint64_t>(1, kChunkBytes / std::max<std::uint64_t>(row_bytes, 1)));
        XXH3_64bits_reset(hash_.get());
        for (std::int64_t first = 0; first < rows; first += chunk) {
            const Range range{first, std::min(rows, first + chunk)};
            buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(range.size()) * row_bytes));
            fill(range, buffer_.data());
            XXH3_64bits_update(hash_.get(), buffer_.data(),
                               static_cast<std::size_t>(range.size()) * row_bytes);
            store(dataset.get(), name, shape, range);
        }
        const std::string checksum = checksum_text(XXH3_64bits_digest(hash_.get()));
        h5::set_attribute(dataset.get(), kChecksum, checksum);
        id_.add(name, slice, name_of(dtype), shape, checksum);
    }

    void store(hid_t dataset, const std::string& name, const Shape& shape, const Range& rows) const {
        std::array<hsize_t, 4> start{};
        std::array<hsize_t, 4> count{};
        for (int axis = 0; axis < shape.rank(); ++axis)
            count.at(static_cast<std::size_t>(axis)) = static_cast<hsize_t>(shape[axis]);
        start[0] = static_cast<hsize_t>(rows.begin);
        count[0] = static_cast<hsize_t>(rows.size());
        const h5::Handle type(H5Dget_type(dataset), H5Tclose);  // as in the file: no conversion
        const h5::Handle target(H5Dget_space(dataset), H5Sclose);
        const h5::Handle source(H5Screate_simple(shape.rank(), count.data(), nullptr), H5Sclose);
        const bool ok =
            H5Sselect_hyperslab(target.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >=
                0 &&
            H5Dwrite(dataset, type.get(), source.get(), target.get(), H5P_DEFAULT, buffer_.data()) >= 0;
        h5::check(ok, ExitCode::File, fmt::format("cannot write {} to {}", name, folder_.path().string()));
    }

    StagedFolder folder_;
    SluicePlan plan_;
    std::map<std::string, std::string> text_;
    std::map<int, h5::Handle> files_;
    std::set<std::pair<std::string, int>> unwritten_;
    std::vector<std::byte> buffer_;
    std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash_{XXH3_createState(), XXH3_freeState};
    ContentId id_;
};

SluiceWriter::SluiceWriter(const std::filesystem::path& target, SluicePlan plan)
    : impl_(std::make_unique<Impl>(target, std::move(plan))) {}
SluiceWriter::SluiceWriter(SluiceWriter&&) noexcept = default;
SluiceWriter::~SluiceWriter() = default;

void SluiceWriter::write(const PlannedTensor& tensor, int slice, const FillRows& fill,
                         std::span<const float> scales) {
    impl_->write(tensor, slice, fill, scales);
}

std::string SluiceWriter::finish() { return impl_->finish(); }

}  // namespace sluice
