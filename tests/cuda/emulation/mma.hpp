// What kernels/cuda/mma.cuh means, said with whole matrices.
#pragma once

#include "cuda/emulation/grid.hpp"

#include <cstdint>

namespace sluice::emulation {

void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void load_matrices(std::uint32_t (&matrices)[4], const void* row, bool transposed);

}  // namespace sluice::emulation
