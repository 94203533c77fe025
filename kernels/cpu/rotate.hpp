// RoPE of some of a head's pairs, compiled once, in rope.cpp, so that every instruction set has the same
// bits: of neighbours GCC 12 makes vfmaddsub where it can, in spite of -ffp-contract=off.
#pragma once

#include <cstdint>

namespace sluice::kernels::cpu {

// Pairs (x[2i], x[2i+1]), in out likewise. Out is x or apart from it.
void rotate_neighbours(const float* x, const float* angles, std::int64_t pairs, float* out);
// Pairs (x[i], x[i + apart]) into (out[i], out[i + out_apart]). Out is x with its pairs or apart from it.
void rotate_halves(const float* x, std::int64_t apart, const float* angles, std::int64_t pairs, float* out,
                   std::int64_t out_apart);

}  // namespace sluice::kernels::cpu
