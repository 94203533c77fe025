#include "checkpoint_tools/tensor_values.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t kLanes = 8;  // sums side by side, so that several are made at a time

// How often each of the 256 codes stands in a block: so few values are looked at one by one. Four counts of
// each, as a code that follows itself would have to wait for its count.
class CodeCounts {
public:
    void add(const std::byte* codes, std::int64_t count) {
        std::int64_t i = 0;
        for (; i + 4 <= count; i += 4)
            for (std::size_t lane = 0; lane < 4; ++lane)
                ++counts_[lane][static_cast<std::uint8_t>(codes[i + static_cast<std::int64_t>(lane)])];
        for (; i < count; ++i) ++counts_[0][static_cast<std::uint8_t>(codes[i])];
    }
    std::int64_t count(std::size_t code) const {
        return std::int64_t{counts_[0][code]} + counts_[1][code] + counts_[2][code] + counts_[3][code];
    }

private:
    std::array<std::array<std::uint32_t, 256>, 4> counts_{};
};

float value_of(DType dtype, std::size_t code) {
    if (dtype == DType::I8) return static_cast<float>(static_cast<std::int8_t>(code));
    return fp8_to_float(static_cast<fp8>(code));
}

void add_value(ValueSummary& summary, float value, std::int64_t count) {
    if (std::isnan(value)) {
        summary.nans += count;
    } else if (std::isinf(value)) {
        summary.infinite += count;
    } else {
        summary.least = summary.count == 0 ? value : std::min(summary.least, value);
        summary.greatest = summary.count == 0 ? value : std::max(summary.greatest, value);
        summary.sum += static_cast<double>(value) * static_cast<double>(count);
        summary.count += count;
    }
}

float load(DType dtype, const std::byte* from) {
    if (dtype == DType::F32) {
        float value = 0;
        std::memcpy(&value, from, sizeof value);
        return value;
    }
    bf16 bits = 0;
    std::memcpy(&bits, from, sizeof bits);
    return to_float(bits);
}

// Values without scales.
template <DType dtype>
void add_plain(ValueSummary& summary, const std::byte* values, std::int64_t count) {
    constexpr float kInfinity = std::bit_cast<float>(0x7f800000U);
    std::array<float, kLanes> least{};
    std::array<float, kLanes> greatest{};
    std::array<double, kLanes> sum{};
    std::array<std::int32_t, kLanes> finite{};
    least.fill(kInfinity);
    greatest.fill(-kInfinity);
    const std::int64_t whole = count / static_cast<std::int64_t>(kLanes) * static_cast<std::int64_t>(kLanes);
    const std::byte* from = values;
    for (std::int64_t i = 0; i < whole; i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane, from += size_of(dtype)) {
            const float value = load(dtype, from);
            const bool usable = std::fabs(value) < kInfinity;  // false for NaN, too
            const float low = usable ? value : kInfinity;
            const float high = usable ? value : -kInfinity;
            least[lane] = low < least[lane] ? low : least[lane];
            greatest[lane] = high > greatest[lane] ? high : greatest[lane];
            sum[lane] += static_cast<double>(usable ? value : 0.0F);
            finite[lane] += usable ? 1 : 0;
        }
    }
    ValueSummary all;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        ValueSummary own;
        own.least = least[lane];
        own.greatest = greatest[lane];
        own.sum = sum[lane];
        own.count = finite[lane];
        all.add(own);
    }
    const bool rest = all.count < whole;
    for (std::int64_t i = rest ? 0 : whole; i < count; ++i) {
        const float value = load(dtype, values + static_cast<std::size_t>(i) * size_of(dtype));
        if (i >= whole || !std::isfinite(value)) add_value(all, value, 1);
    }
    summary.add(all);
}

// Rows of a quantised tensor, block by block.
void add_quantized(ValueSummary& summary, const SourceTensor& tensor, const Range& rows,
                   const std::byte* values) {
    const Block& block = tensor.form.block;
    for (std::int64_t begin = rows.begin, end = 0; begin < rows.end; begin = end) {
        end = std::min(rows.end, (begin / block.rows + 1) * block.rows);
        for (std::int64_t col = 0; col < tensor.cols(); col += block.cols) {
            const std::int64_t width = std::min<std::int64_t>(block.cols, tensor.cols() - col);
            CodeCounts counts;
            for (std::int64_t row = begin; row < end; ++row)
                counts.add(values + (row - rows.begin) * tensor.cols() + col, width);
            const float scale = tensor.scales[static_cast<std::size_t>(
                begin / block.rows * tensor.scale_cols() + col / block.cols)];
            for (std::size_t code = 0; code < 256; ++code)
                if (const std::int64_t count = counts.count(code); count > 0)
                    add_value(summary, value_of(tensor.form.dtype, code) * scale, count);
        }
    }
}

std::vector<float> first_values(const SourceTensor& tensor, const std::byte* row) {
    constexpr std::int64_t kFirst = 8;
    std::vector<float> first;
    for (std::int64_t i = 0; i < std::min(kFirst, tensor.shape.elements()); ++i) {
        const std::byte* from = row + static_cast<std::size_t>(i) * size_of(tensor.form.dtype);
        if (tensor.form.block == Block{}) {
            first.push_back(load(tensor.form.dtype, from));
            continue;
        }
        const std::int64_t block_row = i / tensor.cols() / tensor.form.block.rows;
        const std::int64_t block_col = i % tensor.cols() / tensor.form.block.cols;
        first.push_back(value_of(tensor.form.dtype, std::to_integer<std::size_t>(*from)) *
                        tensor.scales[static_cast<std::size_t>(block_row * tensor.scale_cols() + block_col)]);
    }
    return first;
}

}  // namespace

void ValueSummary::add(const ValueSummary& other) {
    if (other.count > 0) {
        least = count == 0 ? other.least : std::min(least, other.least);
        greatest = count == 0 ? other.greatest : std::max(greatest, other.greatest);
    }
    sum += other.sum;
    count += other.count;
    infinite += other.infinite;
    nans += other.nans;
}

ValueSummary summarize(const SourceTensor& tensor) {
    ValueSummary summary;
    RowReader reader(tensor);
    const std::int64_t row_bytes = tensor.cols() * static_cast<std::int64_t>(size_of(tensor.form.dtype));
    const std::int64_t step =
        rows_per_read(tensor.shape, tensor.form.dtype, std::max(tensor.form.block.rows, 1));
    std::vector<std::byte> chunk(static_cast<std::size_t>(step * row_bytes));
    for (std::int64_t row = 0; row < tensor.rows(); row += step) {
        const Range rows{row, std::min(tensor.rows(), row + step)};
        reader.read(rows.size(), chunk.data());
        if (row == 0) summary.first = first_values(tensor, chunk.data());
        const std::int64_t count = rows.size() * tensor.cols();
        switch (tensor.form.dtype) {
            case DType::F32: add_plain<DType::F32>(summary, chunk.data(), count); break;
            case DType::BF16: add_plain<DType::BF16>(summary, chunk.data(), count); break;
            default: add_quantized(summary, tensor, rows, chunk.data());
        }
    }
    return summary;
}

}  // namespace sluice
