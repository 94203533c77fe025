// The k blocks of a weight's parts, and the checks that parts make a whole. Shared by the packers.
#pragma once

#include "kernels/weight.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::kernels {

struct PartGrid {
    std::int64_t rows = 0;
    int segments = 0;
    bool quantised = false;                            // keeps block scales apart from codes
    DType codes = DType::F8E4M3;                       // where quantised: or I8
    Products products = Products::Bf16;                // as they will be: Fp8 for e4m3 codes alone
    std::vector<std::vector<std::int64_t>> block_col;  // by segment: first column of each block, and the end
};

// Checks (expect) that the parts are F32, BF16, F8E4M3 or I8 and cover rows x segments exactly once, that the
// parts of a segment have the same columns and the same k grid, and that either all parts are quantised, to
// one type, or none. A part is quantised when it is fp8 or int8 with scales, unless it is dequantised or its
// products are F32; a weight that is not has one block a segment. Blocks follow the whole tensor's grid: with
// col_offset set, the first one is short.
PartGrid grid_of(const PackArgs& args);

// Whether outputs [rows i, rows (i + 1)) of the whole have the same scales, for every i.
bool share_scales(std::span<const WeightPart> parts, std::int64_t rows);

// Whether values that are not quantised are kept as bfloat16: products round them, or all are bfloat16
// anyway.
bool kept_as_bf16(const PackArgs& args);

}  // namespace sluice::kernels
