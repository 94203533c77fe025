// A weight packed for the CPU kernels.
#pragma once

#include "kernels/cpu/layout.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/kernel.hpp"
#include "kernels/weight.hpp"

#include <memory>
#include <vector>

namespace sluice::kernels::cpu {

class CpuWeight final : public PackedWeight {
public:
    Products products = Products::Bf16;
    bool power_of_two_scales = false;
    Format format = Format::Bf16;
    std::int64_t panels = 0;       // of 16 rows (outputs), the last padded
    std::int64_t pairs = 0;        // over all segments
    int blocks = 0;                // over all segments
    std::vector<Segment> segment;  // points into what follows
    std::vector<std::int64_t> grid;
    std::shared_ptr<std::byte> values;
    std::vector<float> scales;
    std::vector<std::uint16_t> nan_columns;  // [segments][panels], of e4m3
};

bool fits_pack(const PackArgs& args, const Machine& machine);
void run_pack(const PackArgs& args, const Execution& execution);

}  // namespace sluice::kernels::cpu
