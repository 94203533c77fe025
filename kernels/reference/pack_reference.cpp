#include "kernels/reference/pack_reference.hpp"

#include "kernels/grid.hpp"

namespace sluice::kernels::reference {

bool fits_pack(const PackArgs& /*args*/, const Machine& /*machine*/) { return true; }

void run_pack(const PackArgs& args, const Execution& /*execution*/) {
    const PartGrid grid = grid_of(args);
    auto weight = std::make_shared<ReferenceWeight>();
    weight->products = grid.products;
    weight->power_of_two_scales = args.power_of_two_scales;
    weight->rows = grid.rows;
    weight->segments = grid.segments;
    for (const std::vector<std::int64_t>& cols : grid.block_col) {
        const std::int64_t width = cols.back();
        weight->segment.push_back({weight->cols, width, cols, {}});
        const auto values = static_cast<std::size_t>(grid.rows * width);
        if (!args.sizes_only) weight->segment.back().values.resize(values);
        weight->cols += width;
        weight->bytes += values * sizeof(float);
    }
    *args.out = weight;
    if (args.sizes_only) return;
    for (const WeightPart& part : args.parts) {
        ReferenceWeight::Segment& segment = weight->segment[static_cast<std::size_t>(part.segment)];
        for (std::int64_t n = 0; n < part.matrix.rows; ++n) {
            for (std::int64_t k = 0; k < part.matrix.cols; ++k) {
                segment.values[static_cast<std::size_t>((part.row + n) * segment.cols + k)] =
                    part.matrix.at(n, k);
            }
        }
    }
}

}  // namespace sluice::kernels::reference
