// Weight matrices: how they arrive from a checkpoint, and the handle to a backend's own packed layout.
#pragma once

#include "core/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice::kernels {

// A borrowed matrix W[rows = outputs n, cols = inputs k], perhaps quantised in blocks, perhaps a transposed
// view: element (n, k) is values[n * row_stride + k * col_stride], times, where `scales` is set, scales[(n +
// row_offset) / block_rows * scale_row_stride + (k + col_offset) / block_cols * scale_col_stride]. The
// offsets tell where the matrix begins inside its first block (a slice may begin inside one).
struct HostMatrix {
    const void* values = nullptr;
    DType dtype = DType::BF16;  // F32, BF16, F8E4M3 or I8
    std::int64_t rows = 0, cols = 0;
    std::int64_t row_stride = 0, col_stride = 1;
    const float* scales = nullptr;
    std::int64_t block_rows = 1, block_cols = 1;
    std::int64_t row_offset = 0, col_offset = 0;
    std::int64_t scale_row_stride = 0, scale_col_stride = 1;

    HostMatrix transposed() const;
    // Rows [first, first + count), scales included.
    HostMatrix row_range(std::int64_t first, std::int64_t count) const;
    // The effective value, value * scale in float32.
    float at(std::int64_t n, std::int64_t k) const;
};

// How activations enter the products of a weight, and how products are summed over k.
enum class Products : std::uint8_t {
    // Activations rounded to bfloat16; a quantised weight's block scale multiplies the block's float32 sum.
    Bf16,
    // Activations quantised to e4m3 per row and block of the weight's k grid (scale amax / 448), as
    // DeepSeek-V3's own code does. For weights quantised to e4m3; all others take Bf16 instead.
    Fp8,
    // Activations as they are (the router).
    F32,
};

// Where a matrix stands in the packed whole: from output row `row`, in k segment `segment`.
struct WeightPart {
    HostMatrix matrix;
    std::int64_t row = 0;
    int segment = 0;
};

// A weight in its backend's own layout, made once at load. The k axis is cut in `segments` consecutive parts
// (the checkpoint's slices of a row-parallel weight); each segment's product is an output of its own, so that
// sums over slices can be taken in one fixed order whatever rank holds them.
class PackedWeight {
public:
    virtual ~PackedWeight() = default;
    std::int64_t rows = 0;  // outputs
    std::int64_t cols = 0;  // inputs, all segments together
    int segments = 1;
    std::size_t bytes = 0;  // memory held
};
using Packed = std::shared_ptr<const PackedWeight>;

struct PackArgs {
    // They cover rows x every segment exactly once; within a segment, equal cols.
    std::span<const WeightPart> parts;
    Products products = Products::Bf16;
    // Keep values with their scales multiplied in, as for a weight that was never quantised: bf16(value *
    // scale) in a fast family, float32 in the reference (for kv_b where its codes cannot be transposed).
    bool dequantize = false;
    // Activation scales rounded up to powers of two (DeepSeek-V3.1's "ue8m0"); with Products::Fp8 only.
    bool power_of_two_scales = false;
    Packed* out = nullptr;
    // Nothing is packed: `out` gets a weight that knows its sizes and has no values. Values and scales are
    // then not read: values may be null, scales must be there where there are some. Of any family:
    // packed_sizes().
    bool sizes_only = false;
};

}  // namespace sluice::kernels
