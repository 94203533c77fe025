#include "checkpoint/dequantize.hpp"

#include <algorithm>
#include <array>

namespace sluice {

// A block has one scale, so its 256 possible results are computed once and looked up.
void dequantize(const Fp8Matrix& matrix, const Range& rows, const Range& cols, bf16* out) {
    const std::int64_t scale_cols = (matrix.cols + matrix.block_cols - 1) / matrix.block_cols;
    std::array<bf16, 256> table{};
    for (std::int64_t block_row = rows.begin / matrix.block_rows; block_row * matrix.block_rows < rows.end;
         ++block_row) {
        const std::int64_t row_begin = std::max(rows.begin, block_row * matrix.block_rows);
        const std::int64_t row_end = std::min(rows.end, (block_row + 1) * matrix.block_rows);
        for (std::int64_t block_col = cols.begin / matrix.block_cols;
             block_col * matrix.block_cols < cols.end; ++block_col) {
            const std::int64_t col_begin = std::max(cols.begin, block_col * matrix.block_cols);
            const std::int64_t col_end = std::min(cols.end, (block_col + 1) * matrix.block_cols);
            const float scale = matrix.scales[static_cast<std::size_t>(block_row * scale_cols + block_col)];
            for (std::size_t code = 0; code < table.size(); ++code)
                table[code] = to_bf16(fp8_to_float(static_cast<fp8>(code)) * scale);
            for (std::int64_t row = row_begin; row < row_end; ++row) {
                const fp8* from = matrix.values + row * matrix.cols;
                bf16* to = out + (row - rows.begin) * cols.size();
                for (std::int64_t col = col_begin; col < col_end; ++col)
                    to[col - cols.begin] = table[from[col]];
            }
        }
    }
}

}  // namespace sluice
