// Values of a matrix, in any type that can be cast, as float32 or bfloat16.
#pragma once

#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// Reads value times scale, the product in float32, rounded to nearest even where it becomes bfloat16.
class ValueReader {
public:
    // from: F32 or BF16 without a block, F8E4M3 or I8 with one; to: F32 or BF16. scales: of the whole matrix,
    // scale_cols to a row.
    ValueReader(DType from, Block block, std::span<const float> scales, std::int64_t scale_cols, DType to);

    // A part, to `out`, dense. in: element (rows.begin, cols.begin), with row_stride elements from row to
    // row. Neither need be aligned; they do not overlap.
    void read(Range rows, Range cols, const std::byte* in, std::int64_t row_stride, std::byte* out);

private:
    // One block's share of a row.
    struct Run {
        std::int64_t block_row, block_col, count;
        const std::byte* in;
        std::byte* out;
    };
    // Bits of what the 256 codes are under the scale of a block in this row of blocks.
    struct Table {
        std::int64_t block_row = -1;
        std::array<std::uint32_t, 256> bits{};
    };

    template <class To>
    void read_run(const Run& run);
    template <class To>
    void read_fp8(const Run& run);
    float scale(const Run& run) const {
        return scales_[static_cast<std::size_t>(run.block_row * scale_cols_ + run.block_col)];
    }

    DType from_, to_;
    Block block_;
    std::vector<float> scales_;
    std::int64_t scale_cols_;
    std::vector<Table> tables_;  // of fp8: one for each column of blocks, made when it is met
};

}  // namespace sluice
