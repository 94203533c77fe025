#include "kernels/cpu/parallel.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/weight.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace sluice::kernels::cuda {
namespace {

// Columns [begin, end) of row n as values of type T.
template <class T, class Value>
void put(std::byte* to, std::int64_t begin, std::int64_t end, Value value) {
    for (std::int64_t k = begin; k < end; ++k, to += sizeof(T)) {
        const T each = value(k);
        std::memcpy(to, &each, sizeof each);
    }
}

// Whether an e4m3 NaN was among the codes; code 0 takes its place.
bool drop_nan(std::byte* codes, std::int64_t count) {
    bool found = false;
    for (std::int64_t i = 0; i < count; ++i) {
        if ((codes[i] & std::byte{0x7f}) != std::byte{0x7f}) continue;
        codes[i] = std::byte{0};
        found = true;
    }
    return found;
}

void put_columns(const HostMatrix& m, Format format, std::int64_t n, std::int64_t begin, std::int64_t end,
                 std::byte* to) {
    const auto element = static_cast<std::int64_t>(size_of(m.dtype));
    const bool kept =
        is_coded(format) || (format == Format::Bf16 && m.dtype == DType::BF16 && m.scales == nullptr);
    const std::byte* row =
        static_cast<const std::byte*>(m.values) + (n * m.row_stride + begin * m.col_stride) * element;
    if (kept && m.col_stride == 1) {
        std::memcpy(to, row, static_cast<std::size_t>((end - begin) * element));
    } else if (kept) {
        for (std::int64_t k = begin; k < end; ++k, to += element, row += m.col_stride * element)
            std::memcpy(to, row, static_cast<std::size_t>(element));
    } else if (format == Format::F32) {
        put<float>(to, begin, end, [&](std::int64_t k) { return m.at(n, k); });
    } else {
        put<bf16>(to, begin, end, [&](std::int64_t k) { return to_bf16(m.at(n, k)); });
    }
}

// What lies behind a weight's values: [blocks][scales] and, of e4m3, [segments][padded rows].
struct Tail {
    explicit Tail(const WeightShape& shape)
        : values(static_cast<std::size_t>((shape.bytes() - shape.scales_at()) / 4)),
          marks_at(static_cast<std::size_t>((shape.marks_at() - shape.scales_at()) / 4)) {
        std::fill(values.begin() + static_cast<std::ptrdiff_t>(marks_at), values.end(), 1.0F);
    }
    std::vector<float> values;
    std::size_t marks_at;
};

// One output's row of one segment.
void put_row(const WeightPart& part, const WeightShape& shape, std::int64_t n, std::byte* row, Tail& tail) {
    const HostMatrix& m = part.matrix;
    const Segment& segment = shape.segment[part.segment];
    for (int b = 0; b < segment.blocks; ++b) {
        const KBlock block = segment.block(b);
        std::byte* to = row + std::int64_t{segment.first_stage + block.first_stage} * kStageBytes;
        put_columns(m, shape.format, n, block.first_col, block.end_col, to);
        if (!is_coded(shape.format)) continue;
        const auto output = static_cast<int>(part.row + n);
        if (!shape.shared_scales || output % kOutputsOfScale == 0) {  // rows are packed by several threads
            tail.values[std::size_t(segment.first_block + b) * std::size_t(shape.scales()) +
                        std::size_t(shape.scale_of(output))] =
                m.scales[(n + m.row_offset) / m.block_rows * m.scale_row_stride +
                         (block.first_col + m.col_offset) / m.block_cols * m.scale_col_stride];
        }
        if (shape.format == Format::Fp8 && drop_nan(to, block.end_col - block.first_col)) {
            tail.values[tail.marks_at + std::size_t(part.segment) * std::size_t(shape.padded_rows) +
                        std::size_t(output)] = std::numeric_limits<float>::quiet_NaN();
        }
    }
}

// Rows [first, first + count) of the whole.
void put_rows(const PackArgs& args, const WeightShape& shape, std::int64_t first, std::int64_t count,
              int threads, std::byte* rows, Tail& tail) {
    std::memset(rows, 0, static_cast<std::size_t>(count * shape.row_bytes()));
    cpu::over_rows(count, shape.row_bytes(), threads, [&](std::int64_t begin, std::int64_t end) {
        for (const WeightPart& part : args.parts) {
            const std::int64_t from = std::max(first + begin, part.row);
            const std::int64_t to = std::min(first + end, part.row + part.matrix.rows);
            for (std::int64_t n = from; n < to; ++n)
                put_row(part, shape, n - part.row, rows + (n - first) * shape.row_bytes(), tail);
        }
    });
}

}  // namespace

void run_pack(const PackArgs& args, const Execution& execution) {
    const std::shared_ptr<CudaWeight> weight = lay_out(args);
    *args.out = weight;
    const WeightShape& shape = weight->shape;
    weight->memory = allocate_block(weight->bytes);
    Tail tail(shape);
    const auto row_bytes = static_cast<std::size_t>(shape.row_bytes());
    upload(weight->memory.get(), static_cast<std::size_t>(shape.rows), row_bytes,
           [&](std::size_t first, std::span<std::byte> rows) {
               put_rows(args, shape, static_cast<std::int64_t>(first),
                        static_cast<std::int64_t>(rows.size() / row_bytes), execution.threads, rows.data(),
                        tail);
           });
    weight->marked = std::any_of(tail.values.begin() + static_cast<std::ptrdiff_t>(tail.marks_at),
                                 tail.values.end(), [](float mark) { return mark != 1; });
    upload(weight->memory.get() + shape.scales_at(), tail.values.size(), sizeof(float),
           [&](std::size_t first, std::span<std::byte> items) {
               std::memcpy(items.data(), tail.values.data() + first, items.size());
           });
}

}  // namespace sluice::kernels::cuda
