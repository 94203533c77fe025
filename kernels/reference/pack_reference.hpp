// A weight as plain float32 values.
#pragma once

#include "kernels/kernel.hpp"
#include "kernels/weight.hpp"

#include <cstdint>
#include <vector>

namespace sluice::kernels::reference {

class ReferenceWeight final : public PackedWeight {
public:
    Products products = Products::Bf16;
    bool power_of_two_scales = false;
    struct Segment {
        std::int64_t first_col = 0, cols = 0;
        std::vector<std::int64_t> block_col;  // first column of each k block, and the end
        std::vector<float> values;            // [rows][cols]: value * scale
    };
    std::vector<Segment> segment;
};

bool fits_pack(const PackArgs& args, const Machine& machine);
void run_pack(const PackArgs& args, const Execution& execution);

}  // namespace sluice::kernels::reference
