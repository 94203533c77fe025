#include "kernels/fp8_rows.hpp"

#include "core/dtype.hpp"

#include <cmath>

namespace sluice::kernels {

float fp8_row_scale(float amax, bool power_of_two) {
    constexpr float kLeast = 448.0F * 0x1p-126F;
    const float scale = (amax > kLeast ? amax : kLeast) / 448.0F;
    return power_of_two && std::isfinite(scale) ? round_up_to_power_of_two(scale) : scale;
}

}  // namespace sluice::kernels
