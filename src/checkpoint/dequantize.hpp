// Block-quantised values to bfloat16, exactly as the references do.
#pragma once

#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

// A part of an fp8 or int8 matrix, and the scales of the whole.
struct QuantizedPart {
    const std::byte* values = nullptr;  // of element (rows.begin, cols.begin)
    DType dtype = DType::F8E4M3;
    Range rows, cols;
    std::int64_t row_stride = 0;
    std::span<const float> scales;
    std::int64_t scale_cols = 0;
    Block block;
};

// The part to `out`, dense: to_bf16(float32(value) * scale), the product in float32.
void dequantize(const QuantizedPart& part, bf16* out);

}  // namespace sluice
