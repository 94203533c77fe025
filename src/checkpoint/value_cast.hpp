// A tensor's values from one type to another, a few rows at a time, exactly as the references do; and how far
// quantised ones are off.
#pragma once

#include "checkpoint/value_reader.hpp"
#include "core/dtype.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

// What quantising changed: the largest difference, and the sums behind the relative Frobenius error.
struct QuantizationError {
    double largest = 0, squared_error = 0, squared_value = 0;
    // ||x' - x|| / ||x||; 0 where all values are 0.
    double relative() const;
    void add(const QuantizationError&);
};

// Values in one type, with their scales if they have any: [ceil(rows / block.rows), ceil(cols / block.cols)].
struct ValueForm {
    DType dtype = DType::BF16;
    Block block;  // none: no scales
    bool operator==(const ValueForm&) const = default;
};

// Casts a matrix [shape[0], the rest] whose rows come in order. Possible casts: between equal forms (a copy);
// from float32, bfloat16, fp8 and int8 to bfloat16 and float32 (value times scale in float32, then rounded to
// nearest, ties to even); and from any of them, times its scale in float32 without rounding, to
//  - fp8 with a scale for each block: largest |x| / 448 (arXiv:2412.19437, 3.3.2), each value x / scale
//    rounded to nearest even;
//  - int8 with a scale for each row and run of block.cols columns: largest |x| / 127, likewise.
// A block of zeros has the scale 1, and none a scale below 2^-126, the smallest normal float32. A value that
// is no finite number cannot be quantised: ExitCode::Checkpoint naming `where`, row and column.
class ValueCast {
public:
    ValueCast(const Shape& shape, const ValueForm& from, std::span<const float> from_scales,
              const ValueForm& to, std::string where);

    // Rows must be given in runs of a multiple of this, but for the last.
    std::int64_t row_step() const;

    // The next rows, dense. in: in the first form; out: in the second. They do not overlap.
    void cast(Range rows, const std::byte* in, std::byte* out);

    // Of the whole tensor in its second form; complete after the last row. Empty: none.
    const std::vector<float>& scales() const { return scales_; }

    // Of the rows so far; none for casts that do not quantise.
    const QuantizationError& error() const { return error_; }

private:
    void quantize_blocks(Range rows, const std::byte* in, std::byte* out);
    void read_row(std::int64_t row, const std::byte* in);
    std::span<const float> part_of_row(std::size_t block_col) const;
    [[noreturn]] void refuse(std::int64_t row) const;

    std::int64_t rows_, cols_, row_bytes_;
    std::int64_t next_row_ = 0;
    ValueForm from_, to_;
    bool quantizes_ = false;
    std::optional<ValueReader> reader_;  // none: a copy
    std::vector<float> row_;             // the one at hand, before it is quantised
    std::vector<float> scales_;
    std::string where_;
    QuantizationError error_;
};

}  // namespace sluice
