#include "checkpoint/tensor_work.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr std::uint64_t kWriteBytes = 4 << 20;
constexpr std::uint64_t kLeastWrite = 64 << 10;
constexpr std::uint64_t kVerifyBytes = 256 << 10;

std::int64_t step_of(const ValueForm& from, const ValueForm& to) {
    return from == to || to.dtype != DType::F8E4M3 ? 1 : to.block.rows;
}

// Slices that are cut by columns are all written at once, others one after the other.
std::uint64_t write_bytes(const std::vector<PlacedPart>& parts) {
    const bool at_once = parts.size() > 1 && parts[0].rows == parts[1].rows;
    const std::uint64_t share = kWriteBytes / (at_once ? parts.size() : 1);
    return std::max(kLeastWrite, share / WriteBuffers::kAlignment * WriteBuffers::kAlignment);
}

// The content goes, so that there are never two buffers.
void grow(std::vector<std::byte>& buffer, std::size_t bytes) {
    if (buffer.size() >= bytes) return;
    buffer = {};
    buffer.resize(bytes);
}

std::vector<float> part_scales(const std::vector<float>& scales, const PlacedPart& part,
                               std::int64_t stride) {
    std::vector<float> own;
    for (std::int64_t row = part.scale_rows.begin; row < part.scale_rows.end; ++row) {
        const auto first = scales.begin() + row * stride;
        own.insert(own.end(), first + part.scale_cols.begin, first + part.scale_cols.end);
    }
    return own;
}

}  // namespace

std::uint64_t work_bytes(const ConversionPlan& plan, const CheckpointSource& source) {
    std::uint64_t most = 0;
    for (const PlannedTensor& tensor : plan.tensors) {
        const Shape& shape = tensor.spec.full;
        const ValueForm from = source.form(tensor.spec);
        const ValueForm to{tensor.dtype, tensor.block};
        const auto values = static_cast<std::uint64_t>(rows_per_read(shape, from.dtype, step_of(from, to)) *
                                                       shape.row_elements());
        const auto scales = [&](const Block& block) { return whole_part(shape, block).scale_bytes(); };
        // The rows read and cast; scales of the source twice (its own, and the cast's), and of the target.
        most = std::max(most, values * (size_of(from.dtype) + size_of(to.dtype)) + 2 * scales(from.block) +
                                  2 * scales(to.block));
    }
    // What is to be written, in pieces for each slice.
    return most + std::max(kWriteBytes, kLeastWrite * static_cast<std::uint64_t>(plan.slices));
}

TensorWork::TensorWork(const ConversionPlan& plan, const CheckpointSource& source, const OutputFiles& files)
    : plan_(plan), source_(source), files_(files) {}

FinishedTensor TensorWork::convert(std::size_t index, bool holes,
                                   const std::function<void(std::uint64_t)>& wrote) {
    const PlannedTensor& planned = plan_.tensors[index];
    const SourceTensor tensor = source_.tensor(planned.spec);
    const ValueForm to{planned.dtype, planned.block};
    const bool same = tensor.form == to;
    const std::int64_t cols = tensor.cols();
    ValueCast cast(tensor.shape, tensor.form, tensor.scales, to, tensor.where);
    RowReader reader(tensor);
    std::vector<Part> parts = begin_parts(index, holes);
    const std::int64_t step = rows_per_read(tensor.shape, tensor.form.dtype, cast.row_step());
    for (std::int64_t row = 0; row < tensor.rows(); row += step) {
        const Range rows{row, std::min(tensor.rows(), row + step)};
        const auto values = static_cast<std::size_t>(rows.size() * cols);
        grow(read_, values * size_of(tensor.form.dtype));
        reader.read(rows.size(), read_.data());
        if (!same) {
            grow(cast_, values * size_of(to.dtype));
            cast.cast(rows, read_.data(), cast_.data());
        }
        write_rows(parts, rows, cols, size_of(to.dtype), same ? read_.data() : cast_.data());
        wrote(values * size_of(to.dtype));
    }
    FinishedTensor finished{index, {}, cast.error()};
    for (const Part& part : parts) {
        const std::vector<float> scales = part_scales(same ? tensor.scales : cast.scales(), part.place,
                                                      to.block.cols == 0 ? 0 : blocks(cols, to.block.cols));
        const auto bytes = std::as_bytes(std::span(scales));
        if (!bytes.empty()) files_.write(part.place.scales, 0, bytes);
        wrote(bytes.size());
        finished.parts.push_back(
            {part.sum.value(), bytes.empty() ? 0 : checksum_of(bytes.data(), bytes.size())});
    }
    return finished;
}

std::vector<TensorWork::Part> TensorWork::begin_parts(std::size_t tensor, bool holes) {
    const std::vector<PlacedPart> places = plan_.target->parts(tensor);
    buffers_.resize(write_bytes(places));
    std::vector<Part> parts;
    for (const PlacedPart& place : places)
        parts.push_back({place, ExtentWriter(files_, place.values, buffers_, holes)});
    return parts;
}

// Each part gets what it has of these rows.
void TensorWork::write_rows(std::vector<Part>& parts, const Range& rows, std::int64_t cols, std::size_t size,
                            const std::byte* values) {
    const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * size; };
    for (Part& part : parts) {
        const Range own = common_part(rows, part.place.rows);
        const std::int64_t width = part.place.cols.size();
        const std::int64_t run = width == cols ? own.size() : 1;  // rows that follow each other here, too
        for (std::int64_t row = own.begin; row < own.end; row += run) {
            const std::byte* from = values + bytes((row - rows.begin) * cols + part.place.cols.begin);
            const std::span<const std::byte> dense(from, bytes(run * width));
            part.sum.add(dense);
            part.values.add(dense);
        }
    }
}

bool TensorWork::holds(const FinishedTensor& noted) {
    const std::vector<PlacedPart> parts = plan_.target->parts(noted.tensor);
    if (parts.size() != noted.parts.size()) return false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (checksum(parts[i].values) != noted.parts[i].values) return false;
        if (parts[i].scales.bytes > 0 && checksum(parts[i].scales) != noted.parts[i].scales) return false;
    }
    return true;
}

std::uint64_t TensorWork::checksum(const Extent& extent) {
    grow(read_, kVerifyBytes);
    Checksum sum;
    for (std::uint64_t at = 0; at < extent.bytes; at += kVerifyBytes) {
        const std::span<std::byte> piece(read_.data(), std::min(kVerifyBytes, extent.bytes - at));
        files_.read(extent, at, piece);
        sum.add(piece);
    }
    return sum.value();
}

}  // namespace sluice
