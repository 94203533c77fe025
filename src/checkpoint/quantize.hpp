// One block's values to fp8 or int8: its scale, and the codes.
#pragma once

#include "checkpoint/value_cast.hpp"
#include "core/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

// The largest magnitude. Infinity or NaN where a value is no finite number.
float largest_magnitude(std::span<const float> values);

// The scale under which `largest` becomes the largest code of F8E4M3 (448) or I8 (127); 1 for 0. Never below
// the smallest normal float32: under a subnormal one, or 0, quotients would lose their precision, or be
// infinite. Rounded down where the largest code times the scale would be infinite otherwise.
float scale_for(float largest, DType to);

// Values to the nearest codes under the scale, ties to even; what that changed is added to `error`, in an
// order that depends on nothing but the count.
void quantize(std::span<const float> values, float scale, DType to, std::byte* out, QuantizationError& error);

}  // namespace sluice
