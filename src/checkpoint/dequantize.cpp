#include "checkpoint/dequantize.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

// One block's share of a row.
struct Run {
    const std::byte* from;
    std::int64_t count;
    bf16* to;
};

// Codes have 256 results under one scale: computed once, then looked up for all rows of the block.
class Fp8Block {
public:
    explicit Fp8Block(float scale) {
        for (std::size_t code = 0; code < table_.size(); ++code)
            table_[code] = to_bf16(fp8_to_float(static_cast<fp8>(code)) * scale);
    }
    void operator()(const Run& run) const {
        for (std::int64_t i = 0; i < run.count; ++i)
            run.to[i] = table_[static_cast<std::uint8_t>(run.from[i])];
    }

private:
    std::array<bf16, 256> table_{};
};

class Int8Block {
public:
    explicit Int8Block(float scale) : scale_(scale) {}
    void operator()(const Run& run) const {
        for (std::int64_t i = 0; i < run.count; ++i)
            run.to[i] = to_bf16(static_cast<float>(static_cast<std::int8_t>(run.from[i])) * scale_);
    }

private:
    float scale_;
};

template <class Convert>
void by_blocks(const QuantizedPart& part, bf16* out) {
    const auto [rows, cols] = std::pair(part.rows, part.cols);
    for (std::int64_t y = rows.begin / part.block.rows; y * part.block.rows < rows.end; ++y) {
        const std::int64_t row_begin = std::max(rows.begin, y * part.block.rows);
        const std::int64_t row_end = std::min(rows.end, (y + 1) * part.block.rows);
        for (std::int64_t x = cols.begin / part.block.cols; x * part.block.cols < cols.end; ++x) {
            const std::int64_t begin = std::max(cols.begin, x * part.block.cols) - cols.begin;
            const std::int64_t end = std::min(cols.end, (x + 1) * part.block.cols) - cols.begin;
            const float scale = part.scales[static_cast<std::size_t>(y * part.scale_cols + x)];
            const Convert convert(scale);
            for (std::int64_t row = row_begin - rows.begin; row < row_end - rows.begin; ++row) {
                convert({part.values + row * part.row_stride + begin, end - begin,
                         out + row * cols.size() + begin});
            }
        }
    }
}

}  // namespace

void dequantize(const QuantizedPart& part, bf16* out) {
    if (part.dtype == DType::I8) return by_blocks<Int8Block>(part, out);
    by_blocks<Fp8Block>(part, out);
}

}  // namespace sluice
