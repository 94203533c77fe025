#include "checkpoint/layout.hpp"

#include "core/error.hpp"

#include <xxhash.h>

namespace sluice {
namespace {

Range touched_blocks(const Range& range, int block) {
    if (block == 0) return {};
    return {range.begin / block, (range.end + block - 1) / block};
}

}  // namespace

std::string checkpoint_file_name(int slice, int slices) {
    return slice == kCommonIndex ? "common.h5" : fmt::format("slice-{:03}-of-{:03}.h5", slice, slices);
}

std::string text_dataset_name(std::string_view file) { return fmt::format("/files/{}", file); }

std::string scale_dataset_name(std::string_view tensor) { return fmt::format("{}.scale", tensor); }

std::uint64_t SlicePart::value_bytes(DType dtype) const {
    return static_cast<std::uint64_t>(shape.elements()) * size_of(dtype);
}

std::uint64_t SlicePart::scale_bytes() const {
    return static_cast<std::uint64_t>(scale_rows.size() * scale_cols.size()) * sizeof(float);
}

SlicePart slice_part(const TensorSpec& tensor, int slice, int slices, Block block) {
    SlicePart part;
    const bool common = tensor.cut.along == Along::Common;
    part.shape = common ? tensor.full : slice_shape(tensor, slice, slices);
    const Range held = common ? Range{0, tensor.full[tensor.cut.axis]} : slice_range(tensor, slice, slices);
    const bool by_rows = tensor.cut.axis == 0;
    expect(by_rows || tensor.full.rank() == 2, "tensor {} is cut along axis {} of {}", tensor.name,
           tensor.cut.axis, tensor.full.text());
    part.rows = by_rows ? held : Range{0, tensor.full[0]};
    part.cols = by_rows ? Range{0, tensor.full.row_elements()} : held;
    part.scale_rows = touched_blocks(part.rows, block.rows);
    part.scale_cols = touched_blocks(part.cols, block.cols);
    if (block.rows > 0) part.row_offset = static_cast<int>(part.rows.begin % block.rows);
    if (block.cols > 0) part.col_offset = static_cast<int>(part.cols.begin % block.cols);
    return part;
}

SlicePart whole_part(const Shape& shape, Block block) {
    return slice_part({"", shape}, kCommonIndex, 1, block);
}

std::vector<int> slices_of(const TensorSpec& tensor, int slices) {
    if (tensor.cut.along == Along::Common) return {kCommonIndex};
    std::vector<int> all;
    for (int slice = 0; slice < slices; ++slice)
        if (slice_range(tensor, slice, slices).size() > 0) all.push_back(slice);
    return all;
}

void ContentId::add(std::string_view dataset, int slice, std::string_view dtype, const Shape& shape,
                    std::string_view checksum) {
    lines_[fmt::format("{} {}", dataset, slice)] = fmt::format("{} {} {}", dtype, shape.text(), checksum);
}

std::string ContentId::text() const {
    std::string content;
    for (const auto& [key, value] : lines_) content += fmt::format("{} {}\n", key, value);
    const XXH128_hash_t hash = XXH3_128bits(content.data(), content.size());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace sluice
