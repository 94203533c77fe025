#include "kernels/weight.hpp"

#include "core/error.hpp"

#include <utility>

namespace sluice::kernels {
namespace {

float value_at(const HostMatrix& matrix, std::int64_t n, std::int64_t k) {
    const std::int64_t i = n * matrix.row_stride + k * matrix.col_stride;
    switch (matrix.dtype) {
        case DType::F32: return static_cast<const float*>(matrix.values)[i];
        case DType::BF16: return to_float(static_cast<const bf16*>(matrix.values)[i]);
        case DType::F8E4M3: return fp8_to_float(static_cast<const fp8*>(matrix.values)[i]);
        case DType::I8: return static_cast<float>(static_cast<const std::int8_t*>(matrix.values)[i]);
        default: fail(ExitCode::Internal, "a weight cannot be {}", name_of(matrix.dtype));
    }
}

}  // namespace

HostMatrix HostMatrix::transposed() const {
    HostMatrix t = *this;
    std::swap(t.rows, t.cols);
    std::swap(t.row_stride, t.col_stride);
    std::swap(t.block_rows, t.block_cols);
    std::swap(t.row_offset, t.col_offset);
    std::swap(t.scale_row_stride, t.scale_col_stride);
    return t;
}

HostMatrix HostMatrix::row_range(std::int64_t first, std::int64_t count) const {
    expect(first >= 0 && count >= 0 && first + count <= rows, "rows [{}, {}) of a matrix of {}", first,
           first + count, rows);
    HostMatrix part = *this;
    part.rows = count;
    const std::int64_t begin = row_offset + first;
    if (scales != nullptr) part.row_offset = begin % block_rows;
    if (values == nullptr) return part;  // a form without values: nothing to point to
    part.values = static_cast<const std::byte*>(values) +
                  first * row_stride * static_cast<std::int64_t>(size_of(dtype));
    if (scales != nullptr) part.scales = scales + begin / block_rows * scale_row_stride;
    return part;
}

float HostMatrix::at(std::int64_t n, std::int64_t k) const {
    const float value = value_at(*this, n, k);
    if (scales == nullptr) return value;
    return value * scales[(n + row_offset) / block_rows * scale_row_stride +
                          (k + col_offset) / block_cols * scale_col_stride];
}

}  // namespace sluice::kernels
