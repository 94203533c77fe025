// The packed layout of a weight that every CPU instruction set shares. Plain data: the per-set files include
// this header, and an inline function that they call must leave no copy in them, in Debug builds neither.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cpu {

inline constexpr int kPanel = 16;  // output columns side by side

enum class Format : std::uint8_t { Bf16, Fp8, Int8, F32 };

// Bytes of one k pair of one panel: [16 columns][2] bfloat16 or codes; for F32 [2][16 columns].
[[gnu::always_inline]] constexpr std::int64_t pair_bytes(Format format) {
    return kPanel * 2 * (format == Format::Bf16 ? 2 : format == Format::F32 ? 4 : 1);
}

// One k segment: panels of 16 columns one after another, each [k pairs][pair_bytes]. Every k block begins a
// new pair, so a block of odd width is padded with a zero; so are the columns of the last panel.
struct Segment {
    std::int64_t first_col = 0, cols = 0;      // of x
    int blocks = 1;                            // k blocks; one where the weight is not quantised
    int first_block = 0;                       // number of the first, counted over all segments
    const std::int64_t* block_col = nullptr;   // [blocks + 1]: first column of each, within the segment
    const std::int64_t* block_pair = nullptr;  // [blocks + 1]: first pair of each, within the segment
    std::int64_t first_pair = 0;               // of this segment, counted over all segments
    const std::byte* panels = nullptr;
    std::int64_t panel_bytes = 0;
    // [panels][blocks][scale_width], or null where not quantised: one for each column of a panel, or one for
    // all.
    const float* scales = nullptr;
    int scale_width = kPanel;
    // [panels]: bit c where column c has a NaN; null where none has.
    const std::uint16_t* nan_columns = nullptr;
};

}  // namespace sluice::kernels::cpu
