// The bytes of packed weights, against a packing that takes one value after another.
#include "kernels/cpu/pack.hpp"
#include "kernels/product_fixture.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

namespace sluice::test {
namespace {

using cpu::Format;
using cpu::kPanel;

// A weight cut in parts: its rows, and its columns as segments.
struct Cut {
    std::vector<std::int64_t> rows, cols;
};

std::vector<WeightPart> parts_of(const TestWeight& weight, const Cut& cut) {
    std::vector<WeightPart> parts;
    std::int64_t col = 0;
    for (std::size_t s = 0; s < cut.cols.size(); col += cut.cols[s++]) {
        std::int64_t row = 0;
        for (const std::int64_t rows : cut.rows) {
            parts.push_back({weight.slice(row, rows, col, cut.cols[s]), row, static_cast<int>(s)});
            row += rows;
        }
    }
    return parts;
}

bool is_plain_bf16(const HostMatrix& m) { return m.dtype == DType::BF16 && m.scales == nullptr; }

bool is_quantised(const HostMatrix& m, const Kind& kind) {
    const bool codes = m.dtype == DType::F8E4M3 || m.dtype == DType::I8;
    return codes && m.scales != nullptr && !kind.dequantize && kind.products != Products::F32;
}

Format format_of(const HostMatrix& m, const Kind& kind) {
    if (is_quantised(m, kind)) return m.dtype == DType::I8 ? Format::Int8 : Format::Fp8;
    const bool rounded = kind.products != Products::F32 || kind.dequantize;
    return rounded || is_plain_bf16(m) ? Format::Bf16 : Format::F32;
}

template <class T>
void put_at(std::vector<std::byte>& to, std::size_t at, T value) {
    std::memcpy(to.data() + at, &value, sizeof(value));
}

// What kernels/cpu/layout.hpp says of one segment.
struct Layout {
    Layout(std::span<const WeightPart> parts, const Kind& kind);
    void put(const WeightPart& part, std::int64_t n, std::int64_t k);
    std::int64_t pairs_of(std::int64_t cols) const {  // whole cache lines of codes, of two pairs
        return format == Format::Fp8 || format == Format::Int8 ? (cols + 3) / 4 * 2 : (cols + 1) / 2;
    }
    std::int64_t place_of(std::int64_t panel, std::int64_t number) const;

    Kind kind;
    Format format;
    std::int64_t rows = 0, panels = 0, pairs = 0;
    std::vector<std::int64_t> block_of;  // of each column
    std::vector<std::int64_t> first;     // column of each block
    std::vector<std::int64_t> pair;      // first of each block
    std::vector<std::byte> values;
    std::int64_t scale_width = kPanel;
    std::vector<float> scales;               // [panels][blocks][scale_width]
    std::vector<std::uint16_t> nan_columns;  // [panels], of e4m3
};

Layout::Layout(std::span<const WeightPart> parts, const Kind& of)
    : kind(of), format(format_of(parts.front().matrix, of)) {
    const HostMatrix& m = parts.front().matrix;
    const bool quantised = is_quantised(m, kind);
    for (std::int64_t k = 0; k < m.cols; ++k) {
        if (k == 0 || (quantised && (k + m.col_offset) % m.block_cols == 0)) {
            if (k > 0) pairs += pairs_of(k - first.back());
            first.push_back(k);
            pair.push_back(pairs);
        }
        block_of.push_back(static_cast<std::int64_t>(first.size()) - 1);
    }
    pairs += pairs_of(m.cols - first.back());
    for (const WeightPart& part : parts) rows = std::max(rows, part.row + part.matrix.rows);
    panels = (rows + kPanel - 1) / kPanel;
    values.resize(static_cast<std::size_t>(panels * pairs * cpu::pair_bytes(format)));
    if (quantised) {
        const bool shared = std::all_of(parts.begin(), parts.end(), [](const WeightPart& part) {
            const HostMatrix& own = part.matrix;
            return part.row % kPanel == 0 && own.row_offset % kPanel == 0 && own.block_rows % kPanel == 0;
        });
        if (shared) scale_width = 1;
        scales.resize(first.size() * static_cast<std::size_t>(panels * scale_width));
        if (format == Format::Fp8) nan_columns.resize(static_cast<std::size_t>(panels));
    }
    for (const WeightPart& part : parts)
        for (std::int64_t n = 0; n < part.matrix.rows; ++n)
            for (std::int64_t k = part.matrix.cols; k-- > 0;) put(part, n, k);
}

// Groups of four panels, the last of fewer; within one the first line of each, then the second of each.
std::int64_t Layout::place_of(std::int64_t panel, std::int64_t number) const {
    const std::int64_t bytes = cpu::pair_bytes(format), in_line = bytes < 64 ? 2 : 1;
    const std::int64_t group = panel / 4 * 4, wide = std::min<std::int64_t>(4, panels - group);
    const std::int64_t line = number / in_line * wide + panel - group;
    return (group * pairs + line * in_line + number % in_line) * bytes;
}

void Layout::put(const WeightPart& part, std::int64_t n, std::int64_t k) {
    const HostMatrix& m = part.matrix;
    const auto b = static_cast<std::size_t>(block_of[static_cast<std::size_t>(k)]);
    const std::int64_t row = part.row + n, lane = row % kPanel, half = (k - first[b]) % 2;
    const std::int64_t before = place_of(row / kPanel, pair[b] + (k - first[b]) / 2);
    const std::int64_t place = format == Format::F32 ? half * kPanel + lane : lane * 2 + half;
    const auto at = static_cast<std::size_t>(before + place * cpu::pair_bytes(format) / (2 * kPanel));
    const std::int64_t i = n * m.row_stride + k * m.col_stride;
    if (format == Format::F32) return put_at(values, at, m.at(n, k));
    if (format == Format::Bf16) {
        return put_at(values, at,
                      is_plain_bf16(m) ? static_cast<const bf16*>(m.values)[i] : to_bf16(m.at(n, k)));
    }
    const auto code = static_cast<const std::uint8_t*>(m.values)[i];
    const bool nan = format == Format::Fp8 && (code & 0x7fU) == 0x7fU;  // becomes a mark
    put_at(values, at, nan ? std::uint8_t{0} : code);
    const auto panel = static_cast<std::size_t>(row / kPanel);
    if (nan) nan_columns[panel] = static_cast<std::uint16_t>(nan_columns[panel] | 1U << lane);
    const auto scale = (panel * first.size() + b) * static_cast<std::size_t>(scale_width);
    scales[scale + static_cast<std::size_t>(scale_width > 1 ? lane : 0)] =
        m.scales[(n + m.row_offset) / m.block_rows * m.scale_row_stride +
                 (k + m.col_offset) / m.block_cols * m.scale_col_stride];
}

void expect_packed(const TestWeight& weight, const Cut& cut, const std::string& what) {
    const std::vector<WeightPart> parts = parts_of(weight, cut);
    for (const int threads : {1, 3}) {
        const Packed packed = pack(Family::Cpu, parts, weight.kind, threads);
        const auto& found = dynamic_cast<const cpu::CpuWeight&>(*packed);
        ASSERT_EQ(found.segment.size(), cut.cols.size());
        std::size_t bytes = 0;
        for (std::size_t s = 0; s < cut.cols.size(); ++s) {
            const std::span<const WeightPart> own(parts.data() + s * cut.rows.size(), cut.rows.size());
            const Layout expected(own, weight.kind);
            const cpu::Segment& segment = found.segment[s];
            ASSERT_EQ(found.format, expected.format) << what;
            ASSERT_EQ(segment.panel_bytes, expected.pairs * cpu::pair_bytes(expected.format)) << what;
            const std::size_t scale_bytes = expected.scales.size() * sizeof(float);
            const std::size_t mark_bytes = expected.nan_columns.size() * sizeof(std::uint16_t);
            bytes += expected.values.size() + scale_bytes + mark_bytes;
            ASSERT_LE(bytes, found.bytes) << what;
            EXPECT_EQ(std::memcmp(segment.values, expected.values.data(), expected.values.size()), 0)
                << what << ", values of segment " << s << ", " << threads << " threads";
            ASSERT_EQ(segment.scales != nullptr, scale_bytes > 0) << what;
            const bool marked = std::any_of(expected.nan_columns.begin(), expected.nan_columns.end(),
                                            [](std::uint16_t columns) { return columns != 0; });
            ASSERT_EQ(segment.nan_columns != nullptr, marked) << what;
            if (marked) {
                EXPECT_EQ(std::memcmp(segment.nan_columns, expected.nan_columns.data(), mark_bytes), 0)
                    << what << ", NaN of segment " << s << ", " << threads << " threads";
            }
            if (scale_bytes == 0) continue;
            ASSERT_EQ(segment.scale_width, expected.scale_width) << what;
            EXPECT_EQ(std::memcmp(segment.scales, expected.scales.data(), scale_bytes), 0)
                << what << ", scales of segment " << s << ", " << threads << " threads";
        }
        EXPECT_EQ(bytes, found.bytes) << what;
    }
}

// all_kinds(), and what they leave out: values of every type with scales that are multiplied in, and turned.
std::vector<Kind> kinds() {
    std::vector<Kind> kinds = all_kinds();
    using enum DType;
    for (const DType dtype : {F32, BF16, F8E4M3, I8}) {
        const std::string name(name_of(dtype));
        for (const bool turned : {false, true}) {
            const std::string view = turned ? " transposed" : "";
            kinds.push_back({name + " with scales" + view, dtype, 24, 31, 7, 3, turned, Products::Bf16});
            kinds.push_back({name + " dequantised" + view, dtype, 24, 31, 7, 3, turned, Products::F32, true});
            kinds.push_back({name + ", float32 products" + view, dtype, 24, 31, 7, 3, turned, Products::F32});
            kinds.push_back({name + " without scales" + view, dtype, 0, 0, 5, 3, turned, Products::Bf16});
        }
    }
    return kinds;
}

std::vector<std::uint32_t> special_codes(DType dtype) {
    switch (dtype) {
        case DType::F32: return {0x7fc00000, 0xffc12345, 0x7f800001, 0x7f800000, 0xff800000, 1, 0x80000000};
        case DType::BF16: return {0x7fc0, 0xffc1, 0x7f80, 0xff80, 1, 0x8000};
        case DType::F8E4M3: return {0x7f, 0xff, 0x7e, 0xfe, 1, 0x80};
        default: return {0x80, 0x7f, 0xff};
    }
}

// 43 rows: two whole panels and a part of one; 139: two groups of four, and one more panel. Parts that end
// inside a panel leave it to the slow path.
TEST(PackedBytes, AreThoseOfOneValueAfterAnother) {
    const std::vector<std::vector<std::int64_t>> rows = {{43}, {5, 38}, {5, 11, 16, 11}, {16, 27}, {139}};
    const std::vector<std::vector<std::int64_t>> cols = {{1},   {2},        {33},       {128},
                                                         {301}, {151, 150}, {64, 1, 96}};
    for (const Kind& kind : kinds()) {
        for (const auto& row_cut : rows) {
            for (const auto& col_cut : cols) {
                std::int64_t k = 0;
                for (const std::int64_t width : col_cut) k += width;
                const TestWeight weight(kind, std::reduce(row_cut.begin(), row_cut.end()), k, 7);
                expect_packed(weight, {row_cut, col_cut},
                              fmt::format("{}, rows {}, columns {}", kind.name, fmt::join(row_cut, " + "),
                                          fmt::join(col_cut, " + ")));
            }
        }
    }
}

TEST(PackedBytes, ShareScalesWhereBlocksOfOutputsAreMadeOfPanels) {
    const auto width = [](std::int64_t block_rows, std::int64_t row_offset) {
        const Kind kind{"fp8", DType::F8E4M3, block_rows,     128,   row_offset,
                        0,     false,         Products::Bf16, false, false};
        const Packed packed = pack_whole(Family::Cpu, TestWeight(kind, 43, 300, 1));
        return dynamic_cast<const cpu::CpuWeight&>(*packed).segment.front().scale_width;
    };
    EXPECT_EQ(width(128, 0), 1);
    EXPECT_EQ(width(128, 48), 1);
    EXPECT_EQ(width(128, 40), kPanel);
    EXPECT_EQ(width(24, 0), kPanel);
    EXPECT_EQ(width(1, 0), kPanel);
}

// In the first panel alone, so that the second is packed as ever.
TEST(PackedBytes, HoldNanAndInfinityInTheirPlaces) {
    for (const Kind& kind : kinds()) {
        for (const std::vector<std::int64_t>& rows : {std::vector<std::int64_t>{43}, {5, 11, 27}}) {
            for (const std::int64_t k : {97, 300}) {
                TestWeight weight(kind, 43, k, 8);
                const std::vector<std::uint32_t> codes = special_codes(kind.dtype);
                for (std::size_t i = 0; i < codes.size(); ++i) {
                    const auto at = static_cast<std::int64_t>(i);
                    weight.set_code(2 * at, 17 * at % k, codes[i]);
                    weight.set_code(15 - at, k - 1 - at, codes[i]);
                }
                expect_packed(weight, {rows, {k}}, fmt::format("{}, {} columns", kind.name, k));
                expect_packed(weight, {rows, {k - 40, 40}},
                              fmt::format("{}, {} + 40 columns", kind.name, k - 40));
            }
        }
    }
}

}  // namespace
}  // namespace sluice::test
