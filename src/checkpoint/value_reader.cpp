#include "checkpoint/value_reader.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

namespace sluice {
namespace {

// Narrower blocks are not worth a table each.
constexpr int kLeastColumnsForTable = 64;

template <class T>
T load(const std::byte* at, std::int64_t index) {
    T value;
    std::memcpy(&value, at + index * static_cast<std::int64_t>(sizeof value), sizeof value);
    return value;
}

template <class To>
To rounded(float value) {
    if constexpr (std::is_same_v<To, bf16>) {
        return to_bf16(value);
    } else {
        return value;
    }
}

// value(i) is element i.
template <class To, class Value>
void fill(std::byte* out, std::int64_t count, const Value& value) {
    for (std::int64_t i = 0; i < count; ++i) {
        const To element = value(i);
        std::memcpy(out + i * static_cast<std::int64_t>(sizeof element), &element, sizeof element);
    }
}

}  // namespace

ValueReader::ValueReader(DType from, Block block, std::span<const float> scales, std::int64_t scale_cols,
                         DType to)
    : from_(from), to_(to), block_(block), scales_(scales.begin(), scales.end()), scale_cols_(scale_cols) {
    const bool plain = (from == DType::F32 || from == DType::BF16) && block == Block{};
    const bool quantised = (from == DType::F8E4M3 || from == DType::I8) && block.rows > 0 && block.cols > 0;
    expect((plain || quantised) && (to == DType::F32 || to == DType::BF16),
           "{} in blocks of {} x {} cannot be read as {}", name_of(from), block.rows, block.cols,
           name_of(to));
    constexpr int kAll = std::numeric_limits<int>::max();
    if (plain) block_ = {kAll, kAll};
    if (from == DType::F8E4M3 && block.cols >= kLeastColumnsForTable)
        tables_.resize(static_cast<std::size_t>(scale_cols));
}

void ValueReader::read(Range rows, Range cols, const std::byte* in, std::int64_t row_stride, std::byte* out) {
    const auto in_size = static_cast<std::int64_t>(size_of(from_));
    const auto out_size = static_cast<std::int64_t>(size_of(to_));
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t x = cols.begin / block_.cols; x * block_.cols < cols.end; ++x) {
            const std::int64_t begin = std::max(cols.begin, x * block_.cols) - cols.begin;
            const std::int64_t end = std::min(cols.end, (x + 1) * block_.cols) - cols.begin;
            const Run run{row / block_.rows, x, end - begin, in + begin * in_size, out + begin * out_size};
            to_ == DType::BF16 ? read_run<bf16>(run) : read_run<float>(run);
        }
        in += row_stride * in_size;
        out += cols.size() * out_size;
    }
}

template <class To>
void ValueReader::read_run(const Run& run) {
    const std::byte* in = run.in;
    if (from_ == DType::F32) {
        fill<To>(run.out, run.count, [in](auto i) { return rounded<To>(load<float>(in, i)); });
    } else if (from_ == DType::BF16) {
        fill<To>(run.out, run.count, [in](auto i) { return rounded<To>(to_float(load<bf16>(in, i))); });
    } else if (from_ == DType::I8) {
        fill<To>(run.out, run.count, [in, scale = scale(run)](auto i) {
            return rounded<To>(static_cast<float>(load<std::int8_t>(in, i)) * scale);
        });
    } else {
        read_fp8<To>(run);
    }
}

template <class To>
void ValueReader::read_fp8(const Run& run) {
    const std::byte* in = run.in;
    const float scale = this->scale(run);
    if (tables_.empty()) {
        fill<To>(run.out, run.count,
                 [=](auto i) { return rounded<To>(fp8_to_float(load<fp8>(in, i)) * scale); });
        return;
    }
    using Bits = std::conditional_t<std::is_same_v<To, bf16>, bf16, std::uint32_t>;
    Table& table = tables_[static_cast<std::size_t>(run.block_col)];
    if (table.block_row != run.block_row) {
        for (std::size_t code = 0; code < table.bits.size(); ++code)
            table.bits[code] = std::bit_cast<Bits>(rounded<To>(fp8_to_float(static_cast<fp8>(code)) * scale));
        table.block_row = run.block_row;
    }
    const std::uint32_t* bits = table.bits.data();
    fill<Bits>(run.out, run.count, [in, bits](auto i) { return static_cast<Bits>(bits[load<fp8>(in, i)]); });
}

}  // namespace sluice
