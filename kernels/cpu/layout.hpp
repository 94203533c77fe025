// The packed layout of a weight that every CPU instruction set shares. Plain data: the per-set files include
// this header, and an inline function that they call must leave no copy in them, in Debug builds neither.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cpu {

inline constexpr int kPanel = 16;  // output columns side by side
inline constexpr int kGroup = 4;   // panels whose lines take turns

enum class Format : std::uint8_t { Bf16, Fp8, Int8, F32 };

// Bytes of one k pair of one panel: [16 columns][2] bfloat16 or codes; for F32 [2][16 columns].
[[gnu::always_inline]] constexpr std::int64_t pair_bytes(Format format) {
    return kPanel * 2 * (format == Format::Bf16 ? 2 : format == Format::F32 ? 4 : 1);
}

// Pairs of a panel that lie together, a cache line of them where they are small.
[[gnu::always_inline]] constexpr std::int64_t line_pairs(Format format) {
    return format == Format::Fp8 || format == Format::Int8 ? 2 : 1;
}

[[gnu::always_inline]] constexpr std::int64_t line_bytes(Format format) {
    return line_pairs(format) * pair_bytes(format);
}

// One k segment: panels of 16 columns in groups of kGroup, the last of as many as are left; a group is
// [lines][panels][line_pairs][pair_bytes], so that whoever multiplies its panels together reads one stream.
// Every k block begins a new line: a block that ends within one is padded with zeros; so are the columns of
// the last panel.
struct Segment {
    std::int64_t first_col = 0, cols = 0;      // of x
    int blocks = 1;                            // k blocks; one where the weight is not quantised
    int first_block = 0;                       // number of the first, counted over all segments
    const std::int64_t* block_col = nullptr;   // [blocks + 1]: first column of each, within the segment
    const std::int64_t* block_pair = nullptr;  // [blocks + 1]: first pair of each, within the segment
    std::int64_t first_pair = 0;               // of this segment, counted over all segments
    const std::byte* values = nullptr;
    std::int64_t panels = 0, panel_bytes = 0;
    // [panels][blocks][scale_width], or null where not quantised: one for each column of a panel, or one for
    // all.
    const float* scales = nullptr;
    int scale_width = kPanel;
    // [panels]: bit c where column c has a NaN; null where none has.
    const std::uint16_t* nan_columns = nullptr;
};

// A panel's lines: the first one, and how many bytes lie from one to the next.
struct Lines {
    const std::byte* first;
    std::int64_t step;
};

// Panels of a group from this one on.
[[gnu::always_inline]] inline std::int64_t panels_beside(const Segment& segment, std::int64_t panel) {
    const std::int64_t in_group = kGroup - panel % kGroup, left = segment.panels - panel;
    return in_group < left ? in_group : left;
}

[[gnu::always_inline]] inline Lines lines_of(const Segment& segment, Format format, std::int64_t panel) {
    const std::int64_t first = panel / kGroup * kGroup;
    return {segment.values + first * segment.panel_bytes + (panel - first) * line_bytes(format),
            panels_beside(segment, first) * line_bytes(format)};
}

}  // namespace sluice::kernels::cpu
