// Block-quantised values to bfloat16, exactly as the reference does.
#pragma once

#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <cstdint>
#include <span>

namespace sluice {

// A whole fp8 matrix [rows, cols] with a scale for each block.
struct Fp8Matrix {
    const fp8* values = nullptr;
    std::int64_t cols = 0;
    std::span<const float> scales;  // [ceil(rows / block_rows), ceil(cols / block_cols)]
    int block_rows = 0, block_cols = 0;
};

// Rows x cols of `matrix` to `out`, dense: to_bf16(float32(value) * scale), the product in float32.
void dequantize(const Fp8Matrix& matrix, const Range& rows, const Range& cols, bf16* out);

}  // namespace sluice
