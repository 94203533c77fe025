#include "kernels/grid.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice::kernels {
namespace {

bool is_code(DType dtype) { return dtype == DType::F8E4M3 || dtype == DType::I8; }

bool is_weight(DType dtype) { return dtype == DType::F32 || dtype == DType::BF16 || is_code(dtype); }

bool is_quantised(const PackArgs& args, const HostMatrix& matrix) {
    return is_code(matrix.dtype) && matrix.scales != nullptr && !args.dequantize &&
           args.products != Products::F32;
}

std::vector<std::int64_t> blocks_of(const HostMatrix& matrix, bool quantised) {
    std::vector<std::int64_t> first = {0};
    if (quantised) {
        for (std::int64_t k = matrix.block_cols - matrix.col_offset % matrix.block_cols; k < matrix.cols;
             k += matrix.block_cols) {
            first.push_back(k);
        }
    }
    first.push_back(matrix.cols);
    return first;
}

void check_cover(const PackArgs& args, const PartGrid& grid) {
    for (int s = 0; s < grid.segments; ++s) {
        std::vector<const WeightPart*> parts;
        for (const WeightPart& part : args.parts) {
            if (part.segment == s) parts.push_back(&part);
        }
        std::sort(parts.begin(), parts.end(), [](auto* a, auto* b) { return a->row < b->row; });
        std::int64_t row = 0;
        for (const WeightPart* part : parts) {
            expect(part->row == row, "segment {} of a weight: a part begins at row {}, expected row {}", s,
                   part->row, row);
            row += part->matrix.rows;
        }
        expect(row == grid.rows, "segment {} of a weight has {} rows, expected {}", s, row, grid.rows);
    }
}

}  // namespace

PartGrid grid_of(const PackArgs& args) {
    expect(!args.parts.empty() && args.out != nullptr, "a weight of no parts, or no place for it");
    PartGrid grid;
    for (const WeightPart& part : args.parts) {
        expect(part.segment >= 0 && part.matrix.rows > 0 && part.matrix.cols > 0,
               "a weight part of segment {}, {} rows, {} columns", part.segment, part.matrix.rows,
               part.matrix.cols);
        expect(is_weight(part.matrix.dtype),
               "a weight part of {}, expected float32, bfloat16, float8_e4m3fn or int8",
               name_of(part.matrix.dtype));
        grid.rows = std::max(grid.rows, part.row + part.matrix.rows);
        grid.segments = std::max(grid.segments, part.segment + 1);
    }
    const HostMatrix& front = args.parts.front().matrix;
    grid.quantised = is_quantised(args, front);
    if (grid.quantised) grid.codes = front.dtype;
    const bool fp8 = grid.quantised && grid.codes == DType::F8E4M3;
    grid.products = args.products == Products::Fp8 && !fp8 ? Products::Bf16 : args.products;
    grid.block_col.resize(static_cast<std::size_t>(grid.segments));
    for (const WeightPart& part : args.parts) {
        expect(is_quantised(args, part.matrix) == grid.quantised,
               "a weight of quantised and unquantised parts");
        expect(!grid.quantised || part.matrix.dtype == grid.codes, "a weight of {} and {} parts",
               name_of(grid.codes), name_of(part.matrix.dtype));
        std::vector<std::int64_t> blocks = blocks_of(part.matrix, grid.quantised);
        std::vector<std::int64_t>& known = grid.block_col[static_cast<std::size_t>(part.segment)];
        if (known.empty())
            known = std::move(blocks);
        else
            expect(known == blocks, "parts of segment {} differ in columns or k blocks", part.segment);
    }
    check_cover(args, grid);
    return grid;
}

bool share_scales(std::span<const WeightPart> parts, std::int64_t rows) {
    return std::all_of(parts.begin(), parts.end(), [rows](const WeightPart& part) {
        const HostMatrix& m = part.matrix;
        return part.row % rows == 0 && m.block_rows % rows == 0 && m.row_offset % rows == 0;
    });
}

bool kept_as_bf16(const PackArgs& args) {
    const bool exact = std::all_of(args.parts.begin(), args.parts.end(), [](const WeightPart& part) {
        return part.matrix.dtype == DType::BF16 && part.matrix.scales == nullptr;
    });
    return exact || args.products != Products::F32 || args.dequantize;
}

}  // namespace sluice::kernels
