// The scale that activations are quantised with, one for every implementation.
#pragma once

namespace sluice::kernels {

// The e4m3 scale of a row's block whose largest magnitude is `amax`: amax / 448, kept at least 2^-126 (so
// that a block of zeros has codes of zero, not NaN), rounded up to a power of two where asked. Infinite for
// an infinite amax: the infinite elements then become NaN.
float fp8_row_scale(float amax, bool power_of_two);

}  // namespace sluice::kernels
