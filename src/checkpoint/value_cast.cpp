#include "checkpoint/value_cast.hpp"

#include "checkpoint/quantize.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace sluice {
double QuantizationError::relative() const {
    return squared_value == 0 ? 0 : std::sqrt(squared_error / squared_value);
}

void QuantizationError::add(const QuantizationError& other) {
    largest = std::max(largest, other.largest);
    squared_error += other.squared_error;
    squared_value += other.squared_value;
}

ValueCast::ValueCast(const Shape& shape, const ValueForm& from, std::span<const float> from_scales,
                     const ValueForm& to, std::string where)
    : rows_(shape[0]),
      cols_(shape.row_elements()),
      row_bytes_(cols_ * static_cast<std::int64_t>(size_of(from.dtype))),
      from_(from),
      to_(to),
      where_(std::move(where)) {
    const Shape from_grid = scale_grid(shape, from.block);
    const auto expected = static_cast<std::size_t>(from_grid.elements());
    expect(from_scales.size() == expected, "{}: {} scales of {}", where_, from_scales.size(), expected);
    if (from == to) {
        scales_.assign(from_scales.begin(), from_scales.end());
        return;
    }
    const bool plain = to.dtype == DType::BF16 || to.dtype == DType::F32;
    quantizes_ =
        (to.dtype == DType::F8E4M3 || to.dtype == DType::I8) && to.block.rows > 0 && to.block.cols > 0;
    expect(quantizes_ || (plain && to.block == Block{}), "{}: no cast to {} in blocks of {} x {}", where_,
           name_of(to.dtype), to.block.rows, to.block.cols);
    reader_.emplace(from.dtype, from.block, from_scales, from_grid[1], quantizes_ ? DType::F32 : to.dtype);
    scales_.resize(static_cast<std::size_t>(scale_grid(shape, to.block).elements()));
    if (quantizes_) row_.resize(static_cast<std::size_t>(cols_));
}

std::int64_t ValueCast::row_step() const { return quantizes_ ? to_.block.rows : 1; }

void ValueCast::cast(Range rows, const std::byte* in, std::byte* out) {
    expect(
        rows.begin == next_row_ && rows.end <= rows_ && (rows.size() % row_step() == 0 || rows.end == rows_),
        "{}: rows [{}, {}) after {} of {}, {} at a time", where_, rows.begin, rows.end, next_row_, rows_,
        row_step());
    next_row_ = rows.end;
    if (!reader_) {
        std::memcpy(out, in, static_cast<std::size_t>(rows.size() * row_bytes_));
    } else if (!quantizes_) {
        reader_->read(rows, {0, cols_}, in, cols_, out);
    } else {
        for (std::int64_t row = rows.begin; row < rows.end; row += row_step()) {
            quantize_blocks({row, std::min(row + row_step(), rows.end)}, in + (row - rows.begin) * row_bytes_,
                            out + (row - rows.begin) * cols_);
        }
    }
}

// A row of blocks: their scales must be known before any value is written.
void ValueCast::quantize_blocks(Range rows, const std::byte* in, std::byte* out) {
    const std::int64_t scale_cols = blocks(cols_, to_.block.cols);
    const std::span scales =
        std::span(scales_).subspan(static_cast<std::size_t>(rows.begin / to_.block.rows * scale_cols),
                                   static_cast<std::size_t>(scale_cols));
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        read_row(row, in + (row - rows.begin) * row_bytes_);
        for (std::size_t i = 0; i < scales.size(); ++i) {
            const float largest = largest_magnitude(part_of_row(i));
            if (!std::isfinite(largest)) refuse(row);
            scales[i] = std::max(scales[i], largest);
        }
    }
    for (float& scale : scales) scale = scale_for(scale, to_.dtype);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        if (rows.size() > 1) read_row(row, in + (row - rows.begin) * row_bytes_);
        for (std::size_t i = 0; i < scales.size(); ++i) {
            const std::span<const float> values = part_of_row(i);
            quantize(values, scales[i], to_.dtype, out, error_);
            out += values.size();
        }
    }
}

void ValueCast::read_row(std::int64_t row, const std::byte* in) {
    reader_->read({row, row + 1}, {0, cols_}, in, cols_, reinterpret_cast<std::byte*>(row_.data()));
}

std::span<const float> ValueCast::part_of_row(std::size_t block_col) const {
    const auto width = static_cast<std::size_t>(to_.block.cols);
    const std::size_t begin = block_col * width;
    return std::span(row_).subspan(begin, std::min(width, row_.size() - begin));
}

void ValueCast::refuse(std::int64_t row) const {
    const auto found = std::ranges::find_if_not(row_, [](float x) { return std::isfinite(x); });
    fail(ExitCode::Checkpoint,
         "{}: row {}, column {} is {}; only finite numbers can become {}: keep the tensors as they are",
         where_, row, found - row_.begin(), *found, name_of(to_.dtype));
}

}  // namespace sluice
