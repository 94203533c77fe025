#include "checkpoint_tools/tensor_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

// A matrix of either kind of checkpoint: rows x cols, perhaps with block scales.
struct Values {
    const std::byte* data = nullptr;
    DType dtype = DType::BF16;
    std::int64_t rows = 0, cols = 0;
    const float* scales = nullptr;
    std::int64_t scale_cols = 0;
    int block_rows = 1, block_cols = 1, row_offset = 0, col_offset = 0;

    float at(std::int64_t row, std::int64_t col) const {
        const std::byte* from = data + static_cast<std::size_t>(row * cols + col) * size_of(dtype);
        float value = 0;
        if (dtype == DType::F32) {
            std::memcpy(&value, from, sizeof value);
        } else if (dtype == DType::BF16) {
            bf16 bits = 0;
            std::memcpy(&bits, from, sizeof bits);
            value = to_float(bits);
        } else if (dtype == DType::I8) {
            value = static_cast<float>(static_cast<std::int8_t>(*from));
        } else {
            value = fp8_to_float(static_cast<fp8>(*from));
        }
        if (scales == nullptr) return value;
        return value * scales[(row + row_offset) / block_rows * scale_cols + (col + col_offset) / block_cols];
    }
};

ValueSummary summarize(const Values& values) {
    constexpr std::size_t kFirst = 8;
    ValueSummary summary;
    double sum = 0;
    for (std::int64_t row = 0; row < values.rows; ++row) {
        for (std::int64_t col = 0; col < values.cols; ++col) {
            const float value = values.at(row, col);
            if (summary.first.size() < kFirst) summary.first.push_back(value);
            if (std::isnan(value)) {
                ++summary.nans;
                continue;
            }
            summary.least = summary.count == 0 ? value : std::min(summary.least, value);
            summary.greatest = summary.count == 0 ? value : std::max(summary.greatest, value);
            sum += static_cast<double>(value);
            ++summary.count;
        }
    }
    summary.mean = summary.count == 0 ? 0 : sum / static_cast<double>(summary.count);
    return summary;
}

std::int64_t width_of(const Shape& shape) { return shape[0] == 0 ? 0 : shape.elements() / shape[0]; }

}  // namespace

ValueSummary summarize(const TensorSlice& slice) {
    Values values{slice.values.data(), slice.dtype, slice.shape[0], width_of(slice.shape)};
    if (!slice.scales.empty()) {
        values.scales = slice.scales.data();
        values.scale_cols = slice.scale_cols;
        values.block_rows = slice.block_rows;
        values.block_cols = slice.block_cols;
        values.row_offset = slice.row_offset;
        values.col_offset = slice.col_offset;
    }
    return summarize(values);
}

ValueSummary summarize(const SourceTensor& tensor) {
    const std::int64_t rows = tensor.shape[0];
    std::vector<std::byte> dense(static_cast<std::size_t>(rows * tensor.cols()) * size_of(tensor.dtype));
    tensor.copy({0, rows}, {0, tensor.cols()}, dense.data());
    Values values{dense.data(), tensor.dtype, rows, tensor.cols()};
    if (!tensor.scales.empty()) {
        values.scales = tensor.scales.data();
        values.block_rows = tensor.block.rows;
        values.block_cols = tensor.block.cols;
        values.scale_cols = tensor.scale_cols();
    }
    return summarize(values);
}

}  // namespace sluice
